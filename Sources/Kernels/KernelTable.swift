@_exported import SalanganeKernelOperands
#if arch(x86_64)
  import SalanganeKernelsAVX2
  import SalanganeKernelsAVX512
#endif

/// The kernels of one instruction set.
///
/// Every entry computes the same thing on every set, within rounding; on one set, an output element's sum
/// is always taken in the same order, whatever the shape of the call. `KernelTable.portable` is the oracle
/// that tests hold the others against.
///
/// The entries are variables, so that a program can put kernels of its own into a copy and hold them against the
/// others.
///
/// Kernels check nothing: the caller owns the memory, and strides and counts are its responsibility.
public struct KernelTable: Sendable {
  /// `c = initial + a b` on packed panels: see `matmulPanels` for the order of the arguments
  /// (rows, panels, depth, a, aStep, b, bStep, bPanelStride, c, cRowStride, initial, initialRowStride).
  public typealias MatmulPanels =
    @Sendable (
      Int, Int, Int, UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, Int,
      UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>?, Int
    ) -> Void
  /// `MatmulPanels` with 16-bit numbers as right operand, of which every one becomes a float.
  public typealias MatmulHalfPanels =
    @Sendable (
      Int, Int, Int, UnsafePointer<Float>, Int, UnsafePointer<UInt16>, Int, Int,
      UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>?, Int
    ) -> Void
  /// Transposes rows into a packed panel (rows, width, depth, source, rowStride, packed).
  public typealias PackRows =
    @Sendable (Int, Int, Int, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
  /// Transposes rows of 16-bit values, as `PackRows` does.
  public typealias PackHalfRows =
    @Sendable (Int, Int, Int, UnsafePointer<UInt16>, Int, UnsafeMutablePointer<UInt16>) -> Void
  /// An operation on rows in place (rows, columns, x, stride).
  public typealias RowsInPlace = @Sendable (Int, Int, UnsafeMutablePointer<Float>, Int) -> Void
  /// Layer normalisation (rows, columns, x, xStride, residual, residualStride, weight, bias, epsilon, out,
  /// outStride).
  public typealias LayerNorm =
    @Sendable (
      Int, Int, UnsafePointer<Float>, Int, UnsafePointer<Float>?, Int, UnsafePointer<Float>,
      UnsafePointer<Float>, Float, UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// Scaling of rows (rows, columns, factors, x, xStride, out, outStride).
  public typealias ScaleRows =
    @Sendable (
      Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// Addition in place (count, x, out).
  public typealias AddInPlace = @Sendable (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
  /// A sum of products (count, x, y).
  public typealias DotProduct = @Sendable (Int, UnsafePointer<Float>, UnsafePointer<Float>) -> Float
  /// A step of a running softmax (keys, panels, scores, scale, maximum, total, correction).
  public typealias SoftmaxChunk =
    @Sendable (
      Int, Int, UnsafeMutablePointer<Float>, Float, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>
    ) -> Void
  /// RMS normalisation (rows, columns, x, xStride, addend, addendStride, weight, epsilon, out, outStride).
  public typealias RMSNorm =
    @Sendable (
      Int, Int, UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>?, Int, UnsafePointer<Float>, Float,
      UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// Rotation of heads by position (rows, half, x, stride, cosines, sines).
  public typealias RotateRows =
    @Sendable (Int, Int, UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>, UnsafePointer<Float>) -> Void
  /// A gated activation in place (rows, columns, gate, up, stride).
  public typealias GatedRows =
    @Sendable (Int, Int, UnsafeMutablePointer<Float>, UnsafePointer<Float>, Int) -> Void
  /// A chunk of keys added to a running attention (queries, columns, chunkMaximum, chunkTotal, chunkOutput,
  /// chunkStride, maximum, total, output, stride).
  public typealias MergeAttention =
    @Sendable (
      Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, Int,
      UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// The part of a merge that is done once a query (queries, chunkMaximum, chunkTotal, maximum, total, keep, take).
  public typealias AttentionFactors =
    @Sendable (
      Int, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>
    ) -> Void
  /// Keys as codes (features, keys, step, codes, scales).
  public typealias IntegerKeys<Number> =
    @Sendable (Int, UnsafePointer<Number>, Int, UnsafeMutableRawPointer, UnsafeMutablePointer<Float>) -> Void
  /// Values as codes (positions, panels, values, stride, codes, scales).
  public typealias IntegerValues<Number> =
    @Sendable (
      Int, Int, UnsafePointer<Number>, Int, UnsafeMutableRawPointer, UnsafeMutablePointer<Float>
    ) -> Void
  /// Latents as codes of keys and of values (rows, features, panels, latents, stride, bytes, codes, scales, valueCodes,
  /// valueScales).
  public typealias IntegerLatents<Number> =
    @Sendable (
      Int, Int, Int, UnsafePointer<Number>, Int, UnsafeMutableRawPointer, UnsafeMutableRawPointer,
      UnsafeMutablePointer<Float>, UnsafeMutableRawPointer, UnsafeMutablePointer<Float>
    ) -> Void
  /// Weights of keys as codes (rows, scores, stride, scale, bounds, groups, valueScales, codes, codeScales, maximum,
  /// total).
  public typealias IntegerAttentionWeights =
    @Sendable (
      Int, UnsafeMutablePointer<Float>, Int, Float, UnsafePointer<Int32>, Int, UnsafePointer<Float>,
      UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>
    ) -> Void
  /// Values weighted by codes (rows, panels, groups, codes, values, codeScales, keep, take, out, outStride).
  public typealias IntegerAttentionValues =
    @Sendable (
      Int, Int, Int, UnsafePointer<UInt32>, UnsafeRawPointer, UnsafePointer<Float>, UnsafePointer<Float>,
      UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// Rounding to half precision (count, x, out).
  public typealias RoundToHalf =
    @Sendable (Int, UnsafePointer<Float>, UnsafeMutablePointer<UInt16>) -> Void
  /// Half-precision numbers as floats (count, x, out).
  public typealias WidenHalf = @Sendable (Int, UnsafePointer<UInt16>, UnsafeMutablePointer<Float>) -> Void
  /// Whether all numbers are finite (count, x).
  public typealias AllFinite = @Sendable (Int, UnsafePointer<Float>) -> Bool

  /// Activations as signed bytes (rows, groups, x, xStride, step, codes, scales, sums).
  public typealias QuantizeActivations =
    @Sendable (
      Int, Int, UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Int32>
    ) -> Void
  /// Sums of codes times a bias (groups, step, hasHalves, bias, sums, out).
  public typealias BiasedSums =
    @Sendable (Int, Int, Bool, Int32, UnsafePointer<Int32>, UnsafeMutablePointer<Int32>) -> Void
  /// Sums of codes times their scales (groups, step, hasHalves, scales, sums, out).
  public typealias ScaledSums =
    @Sendable (
      Int, Int, Bool, UnsafePointer<Float>, UnsafePointer<Int32>, UnsafeMutablePointer<Float>
    ) -> Void

  /// The instructions that these kernels need.
  public let instructionSet: InstructionSet
  /// The float matrix product on packed panels.
  public var matmulPanels: MatmulPanels
  /// The same with a right operand in IEEE half precision.
  public var matmulHalfPanels: MatmulHalfPanels
  /// The same with a right operand in bfloat16.
  public var matmulBFloat16Panels: MatmulHalfPanels
  /// Transposition of rows into a packed panel.
  public var packRows: PackRows
  /// Transposition of rows of 16-bit values.
  public var packHalfRows: PackHalfRows
  /// GELU, exact form, in place.
  public var geluRows: RowsInPlace
  /// Layer normalisation with an optional residual.
  public var layerNormRows: LayerNorm
  /// Every row times a number of its own.
  public var scaleRows: ScaleRows
  /// Addition in place.
  public var addInPlace: AddInPlace
  /// The sum of products of two vectors.
  public var dotProduct: DotProduct
  /// One chunk of a running softmax.
  public var softmaxChunk: SoftmaxChunk
  /// RMS normalisation with an optional addition before it.
  public var rmsNormRows: RMSNorm
  /// Rotation of heads by position.
  public var rotateRows: RotateRows
  /// SwiGLU's activation.
  public var swigluRows: GatedRows
  /// A chunk of keys added to a running attention.
  public var mergeAttention: MergeAttention
  /// The part of `mergeAttention` that is done once a query.
  public var attentionFactors: AttentionFactors
  /// The keys of 16 positions as codes.
  public var integerKeysOfFloats: IntegerKeys<Float>
  /// The same of keys in half precision.
  public var integerKeysOfHalves: IntegerKeys<UInt16>
  /// The values of some positions as codes.
  public var integerValuesOfFloats: IntegerValues<Float>
  /// The same of values in half precision.
  public var integerValuesOfHalves: IntegerValues<UInt16>
  /// The latents of 16 positions as codes of keys and of values.
  public var integerLatentsOfFloats: IntegerLatents<Float>
  /// The same of latents in half precision.
  public var integerLatentsOfHalves: IntegerLatents<UInt16>
  /// The weights that queries give to a chunk of keys, as codes.
  public var integerAttentionWeights: IntegerAttentionWeights
  /// Values weighted by them, merged with what earlier chunks gave.
  public var integerAttentionValues: IntegerAttentionValues
  /// Rounding to half precision.
  public var roundToHalf: RoundToHalf
  /// Half-precision numbers as floats.
  public var widenHalf: WidenHalf
  /// Whether all numbers are finite.
  public var allFinite: AllFinite
  /// Activations as signed bytes, for products with quantised weights.
  public var quantizeActivations: QuantizeActivations
  /// What products with codes that have a bias need of the activations.
  public var biasedSums: BiasedSums
  /// What products with codes that have a minimum need of the activations.
  public var scaledSums: ScaledSums

  /// Rows of a packed panel of left-hand operands.
  @inlinable public static var packedRows: Int { 12 }

  /// The most rows that are multiplied with quantised weights as they are packed; with more it pays to unpack the
  /// weights.
  public var vectorRows: Int { instructionSet == .avx512 ? 16 : 3 }
  /// Columns of a packed panel of right-hand operands.
  public static let packedColumns = 16
  /// The steps of depth that a matrix product sums up before it adds them to the sum of the steps before: a
  /// product cut into calls at multiples of it has the same bits as one call.
  public static let blockDepth = SalanganeKernels.blockDepth

  /// The kernels that run on any CPU.
  public static let portable = KernelTable(
    instructionSet: .portable, matmulPanels: SalanganeKernels.matmulPanels,
    matmulHalfPanels: SalanganeKernels.matmulHalfPanels,
    matmulBFloat16Panels: SalanganeKernels.matmulBFloat16Panels,
    packRows: SalanganeKernels.packRows, packHalfRows: SalanganeKernels.packHalfRows,
    geluRows: SalanganeKernels.geluRows,
    layerNormRows: SalanganeKernels.layerNormRows, scaleRows: SalanganeKernels.scaleRows,
    addInPlace: SalanganeKernels.addInPlace, dotProduct: SalanganeKernels.dotProduct,
    softmaxChunk: SalanganeKernels.softmaxChunk,
    rmsNormRows: SalanganeKernels.rmsNormRows,
    rotateRows: SalanganeKernels.rotateRows,
    swigluRows: SalanganeKernels.swigluRows,
    mergeAttention: SalanganeKernels.mergeAttention,
    attentionFactors: SalanganeKernels.attentionFactors,
    integerKeysOfFloats: SalanganeKernels.integerKeysOfFloats,
    integerKeysOfHalves: SalanganeKernels.integerKeysOfHalves,
    integerValuesOfFloats: SalanganeKernels.integerValuesOfFloats,
    integerValuesOfHalves: SalanganeKernels.integerValuesOfHalves,
    integerLatentsOfFloats: SalanganeKernels.integerLatentsOfFloats,
    integerLatentsOfHalves: SalanganeKernels.integerLatentsOfHalves,
    integerAttentionWeights: SalanganeKernels.integerAttentionWeights,
    integerAttentionValues: SalanganeKernels.integerAttentionValues,
    roundToHalf: SalanganeKernels.roundToHalf,
    widenHalf: SalanganeKernels.widenHalf,
    allFinite: SalanganeKernels.allFinite,
    quantizeActivations: SalanganeKernels.quantizeActivations,
    biasedSums: SalanganeKernels.biasedSums,
    scaledSums: SalanganeKernels.scaledSums)

  #if arch(x86_64)
    private static let avx2 = KernelTable(
      instructionSet: .avx2, matmulPanels: SalanganeKernelsAVX2.matmulPanels,
      matmulHalfPanels: SalanganeKernelsAVX2.matmulHalfPanels,
      matmulBFloat16Panels: SalanganeKernelsAVX2.matmulBFloat16Panels,
      packRows: SalanganeKernelsAVX2.packRows, packHalfRows: SalanganeKernelsAVX2.packHalfRows,
      geluRows: SalanganeKernelsAVX2.geluRows,
      layerNormRows: SalanganeKernelsAVX2.layerNormRows, scaleRows: SalanganeKernelsAVX2.scaleRows,
      addInPlace: SalanganeKernelsAVX2.addInPlace, dotProduct: SalanganeKernelsAVX2.dotProduct,
      softmaxChunk: SalanganeKernelsAVX2.softmaxChunk,
      rmsNormRows: SalanganeKernelsAVX2.rmsNormRows,
      rotateRows: SalanganeKernelsAVX2.rotateRows,
      swigluRows: SalanganeKernelsAVX2.swigluRows,
      mergeAttention: SalanganeKernelsAVX2.mergeAttention,
      attentionFactors: SalanganeKernelsAVX2.attentionFactors,
      integerKeysOfFloats: SalanganeKernelsAVX2.integerKeysOfFloats,
      integerKeysOfHalves: SalanganeKernelsAVX2.integerKeysOfHalves,
      integerValuesOfFloats: SalanganeKernelsAVX2.integerValuesOfFloats,
      integerValuesOfHalves: SalanganeKernelsAVX2.integerValuesOfHalves,
      integerLatentsOfFloats: SalanganeKernelsAVX2.integerLatentsOfFloats,
      integerLatentsOfHalves: SalanganeKernelsAVX2.integerLatentsOfHalves,
      integerAttentionWeights: SalanganeKernelsAVX2.integerAttentionWeights,
      integerAttentionValues: SalanganeKernelsAVX2.integerAttentionValues,
      roundToHalf: SalanganeKernelsAVX2.roundToHalf,
      widenHalf: SalanganeKernelsAVX2.widenHalf,
      allFinite: SalanganeKernelsAVX2.allFinite,
      quantizeActivations: SalanganeKernelsAVX2.quantizeActivations,
      biasedSums: SalanganeKernelsAVX2.biasedSums,
      scaledSums: SalanganeKernelsAVX2.scaledSums)

    private static let avx512 = KernelTable(
      instructionSet: .avx512, matmulPanels: SalanganeKernelsAVX512.matmulPanels,
      matmulHalfPanels: SalanganeKernelsAVX512.matmulHalfPanels,
      matmulBFloat16Panels: SalanganeKernelsAVX512.matmulBFloat16Panels,
      packRows: SalanganeKernelsAVX512.packRows, packHalfRows: SalanganeKernelsAVX512.packHalfRows,
      geluRows: SalanganeKernelsAVX512.geluRows,
      layerNormRows: SalanganeKernelsAVX512.layerNormRows,
      scaleRows: SalanganeKernelsAVX512.scaleRows, addInPlace: SalanganeKernelsAVX512.addInPlace,
      dotProduct: SalanganeKernelsAVX512.dotProduct, softmaxChunk: SalanganeKernelsAVX512.softmaxChunk,
      rmsNormRows: SalanganeKernelsAVX512.rmsNormRows,
      rotateRows: SalanganeKernelsAVX512.rotateRows,
      swigluRows: SalanganeKernelsAVX512.swigluRows,
      mergeAttention: SalanganeKernelsAVX512.mergeAttention,
      attentionFactors: SalanganeKernelsAVX512.attentionFactors,
      integerKeysOfFloats: SalanganeKernelsAVX512.integerKeysOfFloats,
      integerKeysOfHalves: SalanganeKernelsAVX512.integerKeysOfHalves,
      integerValuesOfFloats: SalanganeKernelsAVX512.integerValuesOfFloats,
      integerValuesOfHalves: SalanganeKernelsAVX512.integerValuesOfHalves,
      integerLatentsOfFloats: SalanganeKernelsAVX512.integerLatentsOfFloats,
      integerLatentsOfHalves: SalanganeKernelsAVX512.integerLatentsOfHalves,
      integerAttentionWeights: SalanganeKernelsAVX512.integerAttentionWeights,
      integerAttentionValues: SalanganeKernelsAVX512.integerAttentionValues,
      roundToHalf: SalanganeKernelsAVX512.roundToHalf,
      widenHalf: SalanganeKernelsAVX512.widenHalf,
      allFinite: SalanganeKernelsAVX512.allFinite,
      quantizeActivations: SalanganeKernelsAVX512.quantizeActivations,
      biasedSums: SalanganeKernelsAVX512.biasedSums,
      scaledSums: SalanganeKernelsAVX512.scaledSums)
  #endif

  /// The kernels of an instruction set.
  ///
  /// - Throws: `InstructionSetError` if this CPU can't run them.
  public static func table(for set: InstructionSet) throws(InstructionSetError) -> KernelTable {
    guard InstructionSet.available.contains(set) else { throw InstructionSetError(name: set.rawValue) }
    #if arch(x86_64)
      switch set {
      case .portable: return portable
      case .avx2: return avx2
      case .avx512: return avx512
      }
    #else
      return portable
    #endif
  }
}
