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
/// others: closures that capture nothing. They are mere addresses, since phases of a computation carry the table
/// with them, and copies of Swift's own closures would each be counted.
///
/// Kernels check nothing: the caller owns the memory, and strides and counts are its responsibility.
public struct KernelTable: Sendable {
  /// `c = initial + a b` on packed panels: see `matmulPanels` for the order of the arguments
  /// (rows, panels, depth, a, aStep, b, bStep, bPanelStride, c, cRowStride, initial, initialRowStride).
  public typealias MatmulPanels =
    @Sendable @convention(c) (
      Int, Int, Int, UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, Int,
      UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>?, Int
    ) -> Void
  /// `MatmulPanels` with 16-bit numbers as right operand, of which every one becomes a float.
  public typealias MatmulHalfPanels =
    @Sendable @convention(c) (
      Int, Int, Int, UnsafePointer<Float>, Int, UnsafePointer<UInt16>, Int, Int,
      UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>?, Int
    ) -> Void
  /// Transposes rows into a packed panel (rows, width, depth, source, rowStride, packed).
  public typealias PackRows =
    @Sendable @convention(c) (Int, Int, Int, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
  /// Transposes rows of 16-bit values, as `PackRows` does.
  public typealias PackHalfRows =
    @Sendable @convention(c) (Int, Int, Int, UnsafePointer<UInt16>, Int, UnsafeMutablePointer<UInt16>) -> Void
  /// An operation on rows in place (rows, columns, x, stride).
  public typealias RowsInPlace = @Sendable @convention(c) (Int, Int, UnsafeMutablePointer<Float>, Int) -> Void
  /// Layer normalisation (rows, columns, x, xStride, residual, residualStride, weight, bias, epsilon, out,
  /// outStride).
  public typealias LayerNorm =
    @Sendable @convention(c) (
      Int, Int, UnsafePointer<Float>, Int, UnsafePointer<Float>?, Int, UnsafePointer<Float>,
      UnsafePointer<Float>, Float, UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// Scaling of rows (rows, columns, factors, x, xStride, out, outStride).
  public typealias ScaleRows =
    @Sendable @convention(c) (
      Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// Addition in place (count, x, out).
  public typealias AddInPlace =
    @Sendable @convention(c) (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
  /// A sum of products (count, x, y).
  public typealias DotProduct =
    @Sendable @convention(c) (Int, UnsafePointer<Float>, UnsafePointer<Float>) -> Float
  /// A step of a running softmax (keys, panels, scores, scale, maximum, total, correction).
  public typealias SoftmaxChunk =
    @Sendable @convention(c) (
      Int, Int, UnsafeMutablePointer<Float>, Float, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>
    ) -> Void
  /// RMS normalisation (rows, columns, x, xStride, addend, addendStride, weight, epsilon, out, outStride).
  public typealias RMSNorm =
    @Sendable @convention(c) (
      Int, Int, UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>?, Int, UnsafePointer<Float>, Float,
      UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// Rotation of heads by position (rows, half, x, stride, cosines, sines).
  public typealias RotateRows =
    @Sendable @convention(c) (
      Int, Int, UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>, UnsafePointer<Float>
    ) -> Void
  /// A gated activation in place (rows, columns, gate, up, stride).
  public typealias GatedRows =
    @Sendable @convention(c) (Int, Int, UnsafeMutablePointer<Float>, UnsafePointer<Float>, Int) -> Void
  /// A chunk of keys added to a running attention (queries, columns, chunkMaximum, chunkTotal, chunkOutput,
  /// chunkStride, maximum, total, output, stride).
  public typealias MergeAttention =
    @Sendable @convention(c) (
      Int, Int, UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, Int,
      UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// The part of a merge that is done once a query (queries, chunkMaximum, chunkTotal, maximum, total, keep, take).
  public typealias AttentionFactors =
    @Sendable @convention(c) (
      Int, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>
    ) -> Void
  /// A request for bytes that are needed soon (byteCount, address).
  public typealias PrefetchBytes = @Sendable @convention(c) (Int, UnsafeRawPointer) -> Void
  /// Numbers as signed bytes with one scale, which is returned (vectors, x, codes).
  public typealias IntegerRow =
    @Sendable @convention(c) (Int, UnsafePointer<Float>, UnsafeMutableRawPointer) -> Float
  /// The values of 16 positions out of keys whose leading features they are (panels, codes, valueCodes).
  public typealias LatentValues =
    @Sendable @convention(c) (Int, UnsafeRawPointer, UnsafeMutableRawPointer) -> Void
  /// Weights of keys as codes (rows, scores, stride, scale, bounds, groups, valueScales, codes, codeScales, maximum,
  /// total).
  public typealias IntegerAttentionWeights =
    @Sendable @convention(c) (
      Int, UnsafeMutablePointer<Float>, Int, Float, UnsafePointer<Int32>, Int, UnsafePointer<Float>,
      UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Float>
    ) -> Void
  /// Values weighted by codes (rows, panels, groups, codes, values, codeScales, keep, take, out, outStride).
  public typealias IntegerAttentionValues =
    @Sendable @convention(c) (
      Int, Int, Int, UnsafePointer<UInt32>, UnsafeRawPointer, UnsafePointer<Float>, UnsafePointer<Float>,
      UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int
    ) -> Void
  /// Rounding to half precision (count, x, out).
  public typealias RoundToHalf =
    @Sendable @convention(c) (Int, UnsafePointer<Float>, UnsafeMutablePointer<UInt16>) -> Void
  /// Half-precision numbers as floats (count, x, out).
  public typealias WidenHalf =
    @Sendable @convention(c) (Int, UnsafePointer<UInt16>, UnsafeMutablePointer<Float>) -> Void
  /// Whether all numbers are finite (count, x).
  public typealias AllFinite = @Sendable @convention(c) (Int, UnsafePointer<Float>) -> Bool

  /// Activations as signed bytes (rows, groups, x, xStride, step, codes, scales, sums).
  public typealias QuantizeActivations =
    @Sendable @convention(c) (
      Int, Int, UnsafePointer<Float>, Int, Int, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<Float>,
      UnsafeMutablePointer<Int32>
    ) -> Void
  /// Sums of codes times a bias (groups, step, hasHalves, bias, sums, out).
  public typealias BiasedSums =
    @Sendable @convention(c) (Int, Int, Bool, Int32, UnsafePointer<Int32>, UnsafeMutablePointer<Int32>) ->
    Void
  /// Sums of codes times their scales (groups, step, hasHalves, scales, sums, out).
  public typealias ScaledSums =
    @Sendable @convention(c) (
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
  /// A request for bytes that are needed soon: they are brought into the cache, or nothing happens.
  public var prefetchBytes: PrefetchBytes
  /// Numbers as signed bytes with one scale: a value, or a part of a latent.
  public var integerRow: IntegerRow
  /// The values of 16 positions out of keys whose leading features they are.
  public var latentValues: LatentValues
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
  /// What the sums of products of codes start from on this instruction set: see `QuantizedActivations.auxiliary`.
  public var sumOffset: Int32

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
    instructionSet: .portable,
    matmulPanels: { SalanganeKernels.matmulPanels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) },
    matmulHalfPanels: { SalanganeKernels.matmulHalfPanels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) },
    matmulBFloat16Panels: {
      SalanganeKernels.matmulBFloat16Panels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    },
    packRows: { SalanganeKernels.packRows($0, $1, $2, $3, $4, $5) },
    packHalfRows: { SalanganeKernels.packHalfRows($0, $1, $2, $3, $4, $5) },
    geluRows: { SalanganeKernels.geluRows($0, $1, $2, $3) },
    layerNormRows: { SalanganeKernels.layerNormRows($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) },
    scaleRows: { SalanganeKernels.scaleRows($0, $1, $2, $3, $4, $5, $6) },
    addInPlace: { SalanganeKernels.addInPlace($0, $1, $2) },
    dotProduct: { SalanganeKernels.dotProduct($0, $1, $2) },
    softmaxChunk: { SalanganeKernels.softmaxChunk($0, $1, $2, $3, $4, $5, $6) },
    rmsNormRows: { SalanganeKernels.rmsNormRows($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) },
    rotateRows: { SalanganeKernels.rotateRows($0, $1, $2, $3, $4, $5) },
    swigluRows: { SalanganeKernels.swigluRows($0, $1, $2, $3, $4) },
    mergeAttention: { SalanganeKernels.mergeAttention($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) },
    attentionFactors: { SalanganeKernels.attentionFactors($0, $1, $2, $3, $4, $5, $6) },
    prefetchBytes: { SalanganeKernels.prefetchBytes($0, $1) },
    integerRow: { SalanganeKernels.integerRow($0, $1, $2) },
    latentValues: { SalanganeKernels.latentValues($0, $1, $2) },
    integerAttentionWeights: {
      SalanganeKernels.integerAttentionWeights($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    },
    integerAttentionValues: {
      SalanganeKernels.integerAttentionValues($0, $1, $2, $3, $4, $5, $6, $7, $8, $9)
    },
    roundToHalf: { SalanganeKernels.roundToHalf($0, $1, $2) },
    widenHalf: { SalanganeKernels.widenHalf($0, $1, $2) },
    allFinite: { SalanganeKernels.allFinite($0, $1) },
    quantizeActivations: { SalanganeKernels.quantizeActivations($0, $1, $2, $3, $4, $5, $6, $7) },
    biasedSums: { SalanganeKernels.biasedSums($0, $1, $2, $3, $4, $5) },
    scaledSums: { SalanganeKernels.scaledSums($0, $1, $2, $3, $4, $5) },
    sumOffset: SalanganeKernels.sumOffset)

  #if arch(x86_64)
    private static let avx2 = KernelTable(
      instructionSet: .avx2,
      matmulPanels: { SalanganeKernelsAVX2.matmulPanels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) },
      matmulHalfPanels: {
        SalanganeKernelsAVX2.matmulHalfPanels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
      },
      matmulBFloat16Panels: {
        SalanganeKernelsAVX2.matmulBFloat16Panels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
      },
      packRows: { SalanganeKernelsAVX2.packRows($0, $1, $2, $3, $4, $5) },
      packHalfRows: { SalanganeKernelsAVX2.packHalfRows($0, $1, $2, $3, $4, $5) },
      geluRows: { SalanganeKernelsAVX2.geluRows($0, $1, $2, $3) },
      layerNormRows: { SalanganeKernelsAVX2.layerNormRows($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) },
      scaleRows: { SalanganeKernelsAVX2.scaleRows($0, $1, $2, $3, $4, $5, $6) },
      addInPlace: { SalanganeKernelsAVX2.addInPlace($0, $1, $2) },
      dotProduct: { SalanganeKernelsAVX2.dotProduct($0, $1, $2) },
      softmaxChunk: { SalanganeKernelsAVX2.softmaxChunk($0, $1, $2, $3, $4, $5, $6) },
      rmsNormRows: { SalanganeKernelsAVX2.rmsNormRows($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) },
      rotateRows: { SalanganeKernelsAVX2.rotateRows($0, $1, $2, $3, $4, $5) },
      swigluRows: { SalanganeKernelsAVX2.swigluRows($0, $1, $2, $3, $4) },
      mergeAttention: { SalanganeKernelsAVX2.mergeAttention($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) },
      attentionFactors: { SalanganeKernelsAVX2.attentionFactors($0, $1, $2, $3, $4, $5, $6) },
      prefetchBytes: { SalanganeKernelsAVX2.prefetchBytes($0, $1) },
      integerRow: { SalanganeKernelsAVX2.integerRow($0, $1, $2) },
      latentValues: { SalanganeKernelsAVX2.latentValues($0, $1, $2) },
      integerAttentionWeights: {
        SalanganeKernelsAVX2.integerAttentionWeights($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
      },
      integerAttentionValues: {
        SalanganeKernelsAVX2.integerAttentionValues($0, $1, $2, $3, $4, $5, $6, $7, $8, $9)
      },
      roundToHalf: { SalanganeKernelsAVX2.roundToHalf($0, $1, $2) },
      widenHalf: { SalanganeKernelsAVX2.widenHalf($0, $1, $2) },
      allFinite: { SalanganeKernelsAVX2.allFinite($0, $1) },
      quantizeActivations: { SalanganeKernelsAVX2.quantizeActivations($0, $1, $2, $3, $4, $5, $6, $7) },
      biasedSums: { SalanganeKernelsAVX2.biasedSums($0, $1, $2, $3, $4, $5) },
      scaledSums: { SalanganeKernelsAVX2.scaledSums($0, $1, $2, $3, $4, $5) },
      sumOffset: SalanganeKernelsAVX2.sumOffset)

    private static let avx512 = KernelTable(
      instructionSet: .avx512,
      matmulPanels: { SalanganeKernelsAVX512.matmulPanels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) },
      matmulHalfPanels: {
        SalanganeKernelsAVX512.matmulHalfPanels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
      },
      matmulBFloat16Panels: {
        SalanganeKernelsAVX512.matmulBFloat16Panels($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
      },
      packRows: { SalanganeKernelsAVX512.packRows($0, $1, $2, $3, $4, $5) },
      packHalfRows: { SalanganeKernelsAVX512.packHalfRows($0, $1, $2, $3, $4, $5) },
      geluRows: { SalanganeKernelsAVX512.geluRows($0, $1, $2, $3) },
      layerNormRows: { SalanganeKernelsAVX512.layerNormRows($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) },
      scaleRows: { SalanganeKernelsAVX512.scaleRows($0, $1, $2, $3, $4, $5, $6) },
      addInPlace: { SalanganeKernelsAVX512.addInPlace($0, $1, $2) },
      dotProduct: { SalanganeKernelsAVX512.dotProduct($0, $1, $2) },
      softmaxChunk: { SalanganeKernelsAVX512.softmaxChunk($0, $1, $2, $3, $4, $5, $6) },
      rmsNormRows: { SalanganeKernelsAVX512.rmsNormRows($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) },
      rotateRows: { SalanganeKernelsAVX512.rotateRows($0, $1, $2, $3, $4, $5) },
      swigluRows: { SalanganeKernelsAVX512.swigluRows($0, $1, $2, $3, $4) },
      mergeAttention: { SalanganeKernelsAVX512.mergeAttention($0, $1, $2, $3, $4, $5, $6, $7, $8, $9) },
      attentionFactors: { SalanganeKernelsAVX512.attentionFactors($0, $1, $2, $3, $4, $5, $6) },
      prefetchBytes: { SalanganeKernelsAVX512.prefetchBytes($0, $1) },
      integerRow: { SalanganeKernelsAVX512.integerRow($0, $1, $2) },
      latentValues: { SalanganeKernelsAVX512.latentValues($0, $1, $2) },
      integerAttentionWeights: {
        SalanganeKernelsAVX512.integerAttentionWeights($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
      },
      integerAttentionValues: {
        SalanganeKernelsAVX512.integerAttentionValues($0, $1, $2, $3, $4, $5, $6, $7, $8, $9)
      },
      roundToHalf: { SalanganeKernelsAVX512.roundToHalf($0, $1, $2) },
      widenHalf: { SalanganeKernelsAVX512.widenHalf($0, $1, $2) },
      allFinite: { SalanganeKernelsAVX512.allFinite($0, $1) },
      quantizeActivations: { SalanganeKernelsAVX512.quantizeActivations($0, $1, $2, $3, $4, $5, $6, $7) },
      biasedSums: { SalanganeKernelsAVX512.biasedSums($0, $1, $2, $3, $4, $5) },
      scaledSums: { SalanganeKernelsAVX512.scaledSums($0, $1, $2, $3, $4, $5) },
      sumOffset: SalanganeKernelsAVX512.sumOffset)
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
