#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// How the reading of files ends early when nobody wants what is read any more.
///
/// Vocabularies have some hundred thousand entries, whose reading takes a good part of a second. Whoever asks for that in
/// a request that can be cancelled says so with `withRequest`, and the loops over entries look from time to
/// time. A request stays cancelled, so that a loop that can't throw may just end: what it leaves unfinished is refused by
/// the next `check`.
package enum ReadInterruption {
  private final class Request {
    let isCancelled: () -> Bool

    init(_ isCancelled: @escaping () -> Bool) { self.isCancelled = isCancelled }
  }

  /// Where a thread keeps its request; nil if the system has no more such places, and nothing is interrupted.
  private static let key: pthread_key_t? = {
    var key = pthread_key_t()
    return pthread_key_create(&key, nil) == 0 ? key : nil
  }()

  /// Calls a body whose reading, on this thread, ends early.
  ///
  /// - Parameters:
  ///   - isCancelled: Says whether it is to end; once it said so, it is to go on saying so.
  ///   - body: What reads.
  package static func withRequest<Result>(
    _ isCancelled: @escaping () -> Bool, _ body: () throws -> Result
  ) rethrows -> Result {
    guard let key else { return try body() }
    let outer = pthread_getspecific(key)
    let request = Request(isCancelled)
    pthread_setspecific(key, Unmanaged.passUnretained(request).toOpaque())
    defer {
      pthread_setspecific(key, outer)
      withExtendedLifetime(request) {}
    }
    return try body()
  }

  /// How many entries are read between two looks, some tenths of a millisecond; a power of two.
  package static let interval = 4096

  /// Looks, if it is time to.
  ///
  /// - Parameter count: How many entries were read.
  /// - Returns: Whether to end.
  @inline(__always)
  package static func isDue(after count: Int) -> Bool {
    count & (interval - 1) == interval - 1 && isDueNow()
  }

  /// Looks.
  ///
  /// - Returns: Whether to end.
  @inline(never)
  package static func isDueNow() -> Bool {
    guard let key, let request = pthread_getspecific(key) else { return false }
    return Unmanaged<Request>.fromOpaque(request).takeUnretainedValue().isCancelled()
  }

  /// Looks, if it is time to.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`, which whoever cancelled the request doesn't get to see.
  @inline(__always)
  package static func check(after count: Int, file: @autoclosure () -> String) throws(ModelFileError) {
    if isDue(after: count) { throw failure(file()) }
  }

  /// Looks.
  ///
  /// - Throws: As `check(after:file:)` does.
  package static func check(file: String) throws(ModelFileError) {
    if isDueNow() { throw failure(file) }
  }

  private static func failure(_ file: String) -> ModelFileError {
    ModelFileError(
      .unreadable, file: file, expectation: "expected to be read to the end, found the request cancelled")
  }
}
