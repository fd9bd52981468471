// What the quantised kernels of all instruction sets take: plain structs of pointers and strides.

/// Rows of activations as signed bytes, packed for a product with quantised weights.
///
/// Rows stand side by side: what belongs to a row is found at the row's index, and `step` rows on is the next of the
/// same row. Inputs go in groups of 32, each with a scale for each row: `x = scale * code`.
public struct QuantizedActivations {
  /// Four codes of neighbouring inputs a word, the first in the lowest byte: `[8 * groups, step]`.
  public var codes: UnsafePointer<UInt32>
  /// `[groups, step]`.
  public var scales: UnsafePointer<Float>
  /// What the format needs to know of the sums of activations, one word for every group, or for every half of a
  /// group where halves have scales of their own: `[groups or 2 * groups, step]`.
  ///
  /// For formats without a minimum an `Int32`: minus the bias of the codes times the sum of the activation codes, to
  /// which `KernelTable.sumOffset` is added for a group, or for the first of its halves. For those with one a `Float`:
  /// the activations' scale times the sum of their codes. `KernelTable.biasedSums` and `scaledSums` make them.
  public var auxiliary: UnsafeRawPointer
  /// Rows that stand side by side.
  public var step: Int

  /// Puts the pointers together.
  @inlinable
  public init(
    codes: UnsafePointer<UInt32>, scales: UnsafePointer<Float>, auxiliary: UnsafeRawPointer, step: Int
  ) {
    self.codes = codes
    self.scales = scales
    self.auxiliary = auxiliary
    self.step = step
  }
}

/// Where a product goes.
public struct ProductOutput {
  /// Element (row, panel, lane) is `values[row * rowStride + panel * 16 + lane]`; all 16 lanes are written.
  public var values: UnsafeMutablePointer<Float>
  /// Floats from one row to the next.
  public var rowStride: Int
  /// What the sums start from, addressed like `values` with a row stride of its own (0 for a bias); nil for zero.
  /// May be `values` itself.
  public var initial: UnsafePointer<Float>?
  /// Floats from one row of `initial` to the next.
  public var initialRowStride: Int

  /// Puts the pointers together.
  @inlinable
  public init(
    values: UnsafeMutablePointer<Float>, rowStride: Int, initial: UnsafePointer<Float>? = nil,
    initialRowStride: Int = 0
  ) {
    self.values = values
    self.rowStride = rowStride
    self.initial = initial
    self.initialRowStride = initialRowStride
  }
}

/// Memory for unpacked weights of one or several panels: some groups of 32 inputs by 16 outputs each.
public struct UnpackedTile {
  /// `[panel][group][8][16 outputs][4 inputs]`, a byte a code.
  public var codes: UnsafeMutableRawPointer
  /// `[panel][group][1 or 2][16]`: one row of scales, or one for each half of the group.
  public var scales: UnsafeMutablePointer<Float>
  /// What is added to the values, as `scales`; not used by formats without.
  public var minimums: UnsafeMutablePointer<Float>

  /// Puts the pointers together.
  @inlinable
  public init(
    codes: UnsafeMutableRawPointer, scales: UnsafeMutablePointer<Float>, minimums: UnsafeMutablePointer<Float>
  ) {
    self.codes = codes
    self.scales = scales
    self.minimums = minimums
  }
}
