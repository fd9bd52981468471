import SalanganeKernelOperands

#if arch(x86_64)
  import SalanganeKernelsAVX2
  import SalanganeKernelsAVX512
#endif

extension KernelTable {
  /// The kernels of a packed form of quantised weights.
  public func quantized(_ format: QuantizedFormat) -> QuantizedKernels {
    switch instructionSet {
    case .portable: portableKernels(format)
    #if arch(x86_64)
      case .avx2: avx2Kernels(format)
      case .avx512: avx512Kernels(format)
    #else
      default: portableKernels(format)
    #endif
    }
  }
}

private func portableKernels(_ format: QuantizedFormat) -> QuantizedKernels {
  switch format {
  case .q4_0:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ4_0, unpack: SalanganeKernels.unpackQ4_0,
      tile: SalanganeKernels.tileQ4_0, bias: format.bias)
  case .q4_1:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ4_1, unpack: SalanganeKernels.unpackQ4_1,
      tile: SalanganeKernels.tileQ4_1, bias: format.bias)
  case .q5_0:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ5_0, unpack: SalanganeKernels.unpackQ5_0,
      tile: SalanganeKernels.tileQ5_0, bias: format.bias)
  case .q5_1:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ5_1, unpack: SalanganeKernels.unpackQ5_1,
      tile: SalanganeKernels.tileQ5_1, bias: format.bias)
  case .q8_0:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ8_0, unpack: SalanganeKernels.unpackQ8_0,
      tile: SalanganeKernels.tileQ8_0, bias: format.bias)
  case .q2_K:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ2_K, unpack: SalanganeKernels.unpackQ2_K,
      tile: SalanganeKernels.tileQ2_K, bias: format.bias)
  case .q3_K:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ3_K, unpack: SalanganeKernels.unpackQ3_K,
      tile: SalanganeKernels.tileQ3_K, bias: format.bias)
  case .q4_K:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ4_K, unpack: SalanganeKernels.unpackQ4_K,
      tile: SalanganeKernels.tileQ4_K, bias: format.bias)
  case .q5_K:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ5_K, unpack: SalanganeKernels.unpackQ5_K,
      tile: SalanganeKernels.tileQ5_K, bias: format.bias)
  case .q6_K:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorQ6_K, unpack: SalanganeKernels.unpackQ6_K,
      tile: SalanganeKernels.tileQ6_K, bias: format.bias)
  case .iq4_NL:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorIQ4_NL, unpack: SalanganeKernels.unpackIQ4_NL,
      tile: SalanganeKernels.tileIQ4_NL, bias: format.bias)
  case .iq4_XS:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorIQ4_XS, unpack: SalanganeKernels.unpackIQ4_XS,
      tile: SalanganeKernels.tileIQ4_XS, bias: format.bias)
  case .mxfp4:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorMXFP4, unpack: SalanganeKernels.unpackMXFP4,
      tile: SalanganeKernels.tileMXFP4, bias: format.bias)
  case .int8:
    QuantizedKernels(
      format: format, vector: SalanganeKernels.vectorInt8, unpack: SalanganeKernels.unpackInt8,
      tile: SalanganeKernels.tileInt8, bias: format.bias)
  }
}

#if arch(x86_64)
  private func avx2Kernels(_ format: QuantizedFormat) -> QuantizedKernels {
    switch format {
    case .q4_0:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ4_0, unpack: SalanganeKernelsAVX2.unpackQ4_0,
        tile: SalanganeKernelsAVX2.tileQ4_0, bias: format.bias)
    case .q4_1:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ4_1, unpack: SalanganeKernelsAVX2.unpackQ4_1,
        tile: SalanganeKernelsAVX2.tileQ4_1, bias: format.bias)
    case .q5_0:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ5_0, unpack: SalanganeKernelsAVX2.unpackQ5_0,
        tile: SalanganeKernelsAVX2.tileQ5_0, bias: format.bias)
    case .q5_1:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ5_1, unpack: SalanganeKernelsAVX2.unpackQ5_1,
        tile: SalanganeKernelsAVX2.tileQ5_1, bias: format.bias)
    case .q8_0:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ8_0, unpack: SalanganeKernelsAVX2.unpackQ8_0,
        tile: SalanganeKernelsAVX2.tileQ8_0, bias: 0)
    case .q2_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ2_K, unpack: SalanganeKernelsAVX2.unpackQ2_K,
        tile: SalanganeKernelsAVX2.tileQ2_K, bias: format.bias)
    case .q3_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ3_K, unpack: SalanganeKernelsAVX2.unpackQ3_K,
        tile: SalanganeKernelsAVX2.tileQ3_K, bias: format.bias)
    case .q4_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ4_K, unpack: SalanganeKernelsAVX2.unpackQ4_K,
        tile: SalanganeKernelsAVX2.tileQ4_K, bias: format.bias)
    case .q5_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ5_K, unpack: SalanganeKernelsAVX2.unpackQ5_K,
        tile: SalanganeKernelsAVX2.tileQ5_K, bias: format.bias)
    case .q6_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorQ6_K, unpack: SalanganeKernelsAVX2.unpackQ6_K,
        tile: SalanganeKernelsAVX2.tileQ6_K, bias: format.bias)
    case .iq4_NL:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorIQ4_NL, unpack: SalanganeKernelsAVX2.unpackIQ4_NL,
        tile: SalanganeKernelsAVX2.tileIQ4_NL, bias: 0)
    case .iq4_XS:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorIQ4_XS, unpack: SalanganeKernelsAVX2.unpackIQ4_XS,
        tile: SalanganeKernelsAVX2.tileIQ4_XS, bias: 0)
    case .mxfp4:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorMXFP4, unpack: SalanganeKernelsAVX2.unpackMXFP4,
        tile: SalanganeKernelsAVX2.tileMXFP4, bias: format.bias)
    case .int8:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX2.vectorInt8, unpack: SalanganeKernelsAVX2.unpackInt8,
        tile: SalanganeKernelsAVX2.tileInt8, bias: 0)
    }
  }

  private func avx512Kernels(_ format: QuantizedFormat) -> QuantizedKernels {
    switch format {
    case .q4_0:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ4_0, unpack: SalanganeKernelsAVX512.unpackQ4_0,
        tile: SalanganeKernelsAVX512.tileQ4_0, bias: format.bias)
    case .q4_1:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ4_1, unpack: SalanganeKernelsAVX512.unpackQ4_1,
        tile: SalanganeKernelsAVX512.tileQ4_1, bias: format.bias)
    case .q5_0:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ5_0, unpack: SalanganeKernelsAVX512.unpackQ5_0,
        tile: SalanganeKernelsAVX512.tileQ5_0, bias: format.bias)
    case .q5_1:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ5_1, unpack: SalanganeKernelsAVX512.unpackQ5_1,
        tile: SalanganeKernelsAVX512.tileQ5_1, bias: format.bias)
    case .q8_0:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ8_0, unpack: SalanganeKernelsAVX512.unpackQ8_0,
        tile: SalanganeKernelsAVX512.tileQ8_0, bias: format.bias)
    case .q2_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ2_K, unpack: SalanganeKernelsAVX512.unpackQ2_K,
        tile: SalanganeKernelsAVX512.tileQ2_K, bias: format.bias)
    case .q3_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ3_K, unpack: SalanganeKernelsAVX512.unpackQ3_K,
        tile: SalanganeKernelsAVX512.tileQ3_K, bias: format.bias)
    case .q4_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ4_K, unpack: SalanganeKernelsAVX512.unpackQ4_K,
        tile: SalanganeKernelsAVX512.tileQ4_K, bias: format.bias)
    case .q5_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ5_K, unpack: SalanganeKernelsAVX512.unpackQ5_K,
        tile: SalanganeKernelsAVX512.tileQ5_K, bias: format.bias)
    case .q6_K:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorQ6_K, unpack: SalanganeKernelsAVX512.unpackQ6_K,
        tile: SalanganeKernelsAVX512.tileQ6_K, bias: format.bias)
    case .iq4_NL:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorIQ4_NL,
        unpack: SalanganeKernelsAVX512.unpackIQ4_NL,
        tile: SalanganeKernelsAVX512.tileIQ4_NL, bias: format.bias)
    case .iq4_XS:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorIQ4_XS,
        unpack: SalanganeKernelsAVX512.unpackIQ4_XS,
        tile: SalanganeKernelsAVX512.tileIQ4_XS, bias: format.bias)
    case .mxfp4:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorMXFP4,
        unpack: SalanganeKernelsAVX512.unpackMXFP4,
        tile: SalanganeKernelsAVX512.tileMXFP4, bias: format.bias)
    case .int8:
      QuantizedKernels(
        format: format, vector: SalanganeKernelsAVX512.vectorInt8, unpack: SalanganeKernelsAVX512.unpackInt8,
        tile: SalanganeKernelsAVX512.tileInt8, bias: format.bias)
    }
  }
#endif
