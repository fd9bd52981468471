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
/// Kernels check nothing: the caller owns the memory, and strides and counts are its responsibility.
public struct KernelTable: Sendable {
  /// `c = initial + a b` on packed panels: see `matmulPanels` for the order of the arguments
  /// (rows, panels, depth, a, aStep, b, bStep, bPanelStride, c, cRowStride, initial, initialRowStride).
  public typealias MatmulPanels =
    @Sendable (
      Int, Int, Int, UnsafePointer<Float>, Int, UnsafePointer<Float>, Int, Int,
      UnsafeMutablePointer<Float>, Int, UnsafePointer<Float>?, Int
    ) -> Void
  /// Transposes rows into a packed panel (rows, width, depth, source, rowStride, packed).
  public typealias PackRows =
    @Sendable (Int, Int, Int, UnsafePointer<Float>, Int, UnsafeMutablePointer<Float>) -> Void
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

  /// The instructions that these kernels need.
  public let instructionSet: InstructionSet
  /// The float matrix product on packed panels.
  public let matmulPanels: MatmulPanels
  /// Transposition of rows into a packed panel.
  public let packRows: PackRows
  /// GELU, exact form, in place.
  public let geluRows: RowsInPlace
  /// Layer normalisation with an optional residual.
  public let layerNormRows: LayerNorm
  /// Every row times a number of its own.
  public let scaleRows: ScaleRows
  /// Addition in place.
  public let addInPlace: AddInPlace
  /// The sum of products of two vectors.
  public let dotProduct: DotProduct
  /// One chunk of a running softmax.
  public let softmaxChunk: SoftmaxChunk

  /// Rows of a packed panel of left-hand operands.
  public static let packedRows = 12
  /// Columns of a packed panel of right-hand operands.
  public static let packedColumns = 16

  /// The kernels that run on any CPU.
  public static let portable = KernelTable(
    instructionSet: .portable, matmulPanels: SalanganeKernels.matmulPanels,
    packRows: SalanganeKernels.packRows, geluRows: SalanganeKernels.geluRows,
    layerNormRows: SalanganeKernels.layerNormRows, scaleRows: SalanganeKernels.scaleRows,
    addInPlace: SalanganeKernels.addInPlace, dotProduct: SalanganeKernels.dotProduct,
    softmaxChunk: SalanganeKernels.softmaxChunk)

  #if arch(x86_64)
    private static let avx2 = KernelTable(
      instructionSet: .avx2, matmulPanels: SalanganeKernelsAVX2.matmulPanels,
      packRows: SalanganeKernelsAVX2.packRows, geluRows: SalanganeKernelsAVX2.geluRows,
      layerNormRows: SalanganeKernelsAVX2.layerNormRows, scaleRows: SalanganeKernelsAVX2.scaleRows,
      addInPlace: SalanganeKernelsAVX2.addInPlace, dotProduct: SalanganeKernelsAVX2.dotProduct,
      softmaxChunk: SalanganeKernelsAVX2.softmaxChunk)

    private static let avx512 = KernelTable(
      instructionSet: .avx512, matmulPanels: SalanganeKernelsAVX512.matmulPanels,
      packRows: SalanganeKernelsAVX512.packRows, geluRows: SalanganeKernelsAVX512.geluRows,
      layerNormRows: SalanganeKernelsAVX512.layerNormRows,
      scaleRows: SalanganeKernelsAVX512.scaleRows, addInPlace: SalanganeKernelsAVX512.addInPlace,
      dotProduct: SalanganeKernelsAVX512.dotProduct, softmaxChunk: SalanganeKernelsAVX512.softmaxChunk)
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
