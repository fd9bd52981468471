/// A value that belongs to the compute queue's jobs, such as scratch memory that is reused.
///
/// `@unchecked Sendable`: the queue runs one job at a time, on one thread, and nothing but a job touches the
/// value.
package final class LeaderState<Value>: @unchecked Sendable {
  /// The value; to be touched by a job only.
  package var value: Value

  /// Wraps a value.
  package init(_ value: sending Value) { self.value = value }
}
