import SalanganeTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The two rows of a language model's output matrix for the answers "yes" and "no": how probable a yes is, where
/// those are all that may be answered.
package struct AnswerHead: Sendable {
  /// `[hidden]` each.
  let yes: [Float]
  let no: [Float]

  /// The probabilities of a yes, `softmax([yes h, no h])[0]`; NaN where the logits aren't finite.
  ///
  /// - Parameter last: The hidden states of the last tokens after the last norm, `[prompts, hidden]`.
  package func probabilities(_ last: Matrix, _ context: ComputeContext) -> [Float] {
    (0..<last.rows).map { prompt in
      let row = last.row(prompt)
      let difference =
        context.kernels.dotProduct(last.columns, row, yes)
        - context.kernels.dotProduct(last.columns, row, no)
      return difference.isFinite ? 1 / (1 + expf(-difference)) : .nan
    }
  }
}
