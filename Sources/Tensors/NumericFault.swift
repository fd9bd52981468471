/// Where a model's numbers first stopped being finite, and why.
public struct NumericFault: Error, Equatable, Sendable {
  /// A place in a model, in the order of computing.
  public enum Place: Equatable, Sendable {
    /// The vectors of the tokens, before the first layer.
    case embeddings
    /// The attention of a layer, counted from 0, or its sum with what entered the layer.
    case attention(layer: Int)
    /// The feed-forward network of a layer, or its sum with what entered it.
    case feedForward(layer: Int)
    /// What follows the last layer: its norm, logits, vectors or scores.
    case output
  }

  /// The first place whose numbers hold NaN or infinity.
  public var place: Place
  /// A tensor of weights there that holds NaN or infinity; nil if all are finite, so that the numbers themselves
  /// grew too great.
  public var tensor: String?

  /// Describes a fault.
  public init(_ place: Place, tensor: String? = nil) {
    self.place = place
    self.tensor = tensor
  }
}

extension NumericFault.Place: CustomStringConvertible {
  /// `layer 3: attention`.
  public var description: String {
    switch self {
    case .embeddings: "token embeddings"
    case .attention(let layer): "layer \(layer): attention"
    case .feedForward(let layer): "layer \(layer): feed-forward network"
    case .output: "output"
    }
  }
}

extension NumericFault: CustomStringConvertible {
  /// One line that names the place and the cause.
  public var description: String {
    guard let tensor else { return "\(place) is the first that isn't finite, though its weights are" }
    return "\(place) is the first that isn't finite, and \(tensor) holds NaN or infinity"
  }
}

/// Looks at a model's numbers while it runs, and keeps the first place where they aren't finite.
///
/// It is for a second run, after the result of the first wasn't finite: the first pays nothing for it.
package final class FaultFinder {
  /// The place; nil as long as all is finite.
  package private(set) var place: NumericFault.Place?

  /// Creates one that has seen nothing.
  package init() {}

  /// Looks at the numbers of a place, `[rows, columns]`.
  func check(_ x: Matrix, at place: NumericFault.Place, _ context: ComputeContext) {
    guard self.place == nil, !context.isFinite(x) else { return }
    self.place = place
  }
}

extension ComputeContext {
  /// True if every element is finite; called with logits, so that a broken model is noticed.
  package func isFinite(_ x: Matrix) -> Bool { firstOddRow(x) == nil }

  /// The first row with an element that isn't finite.
  package func firstOddRow(_ x: Matrix) -> Int? {
    (0..<x.rows).first { !kernels.allFinite(x.columns, x.row($0)) }
  }

  /// Shows numbers to whoever looks for a fault, mostly nobody.
  package func inspect(_ x: Matrix, at place: @autoclosure () -> NumericFault.Place) {
    if let faultFinder { faultFinder.check(x, at: place(), self) }
  }
}
