#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

import Synchronization

/// Survives files that shrink while they are mapped, if the program asks for it.
///
/// Reading a mapped page that lies beyond the end of its file raises SIGBUS, which ends the process. A handler can put
/// a page of zeros there instead and count that: whatever was computed with it is then refused, by a check that costs
/// a load from memory. Signal handlers belong to the program, not to a library in it, so that nothing happens without
/// `catchShrinking()`; the command calls it.
public enum MappedFiles {
  /// Catches SIGBUS for files that are mapped from now on; other causes of the signal are treated as before.
  ///
  /// To be called once, early; on Linux only, elsewhere it does nothing.
  public static func catchShrinking() {
    #if os(Linux)
      guard !MappingTable.isInUse else { return }
      MappingTable.prepare()
      var action = sigaction()
      action.__sigaction_handler.sa_sigaction = handleBusError
      action.sa_flags = SA_SIGINFO
      sigemptyset(&action.sa_mask)
      sigaction(SIGBUS, &action, &previousAction)
    #endif
  }

  /// How many pages were found missing so far.
  package static var faults: Int { MappingTable.faults }

  /// Refuses what was computed since `faults` had a value, if a page was missing meanwhile.
  ///
  /// - Throws: `ModelFileError` of the kind `unreadable`, naming the file if it can still be told which one.
  package static func check(since before: Int) throws(ModelFileError) {
    guard faults != before else { return }
    throw ModelFileError(
      .unreadable, file: shrunken() ?? "a mapped file",
      expectation: "expected it to keep its size while it is used: it shrank")
  }

  // MARK: The files

  private static let names = Locked<[Int: String]>([:])

  /// Watches a mapping.
  ///
  /// - Returns: Its place in the table; nil if nothing is caught, or the table is full.
  static func add(_ bytes: UnsafeRawBufferPointer, path: String) -> Int? {
    guard let place = MappingTable.add(bytes) else { return nil }
    names.withLock { $0[place] = path }
    return place
  }

  /// Forgets a mapping, before it goes.
  static func remove(_ place: Int) {
    MappingTable.remove(place)
    _ = names.withLock { $0.removeValue(forKey: place) }
  }

  /// The path of a file whose pages were missing.
  private static func shrunken() -> String? {
    names.withLock { names in names.first { MappingTable.hasFaults($0.key) }?.value }
  }
}

#if os(Linux)
  /// What SIGBUS did before.
  nonisolated(unsafe) private var previousAction = sigaction()

  private func handleBusError(
    _ signal: Int32, _ information: UnsafeMutablePointer<siginfo_t>?, _ context: UnsafeMutableRawPointer?
  ) {
    if let information, MappingTable.replacePage(at: information.pointee._sifields._sigfault.si_addr) {
      return
    }
    // Not ours: the instruction is repeated under the action of before.
    sigaction(SIGBUS, &previousAction, nil)
  }
#endif

/// The mappings, as a signal handler can read them: without a lock, an allocation or anything lazy.
private enum MappingTable {
  static let capacity = 1024
  private static let words = 3

  /// For each mapping its start, its end (0 for a free place) and its missing pages, as atomic words; nil until
  /// there is a handler.
  nonisolated(unsafe) private static var table: UnsafeMutablePointer<Atomic<UInt>>? = nil
  nonisolated(unsafe) private static var count: UnsafeMutablePointer<Atomic<Int>>? = nil
  nonisolated(unsafe) private static var pageSize: UInt = 4096

  static var isInUse: Bool { table != nil }

  static var faults: Int { count.map { $0.pointee.load(ordering: .acquiring) } ?? 0 }

  static func prepare() {
    pageSize = UInt(max(4096, sysconf(Int32(_SC_PAGESIZE))))
    let count = UnsafeMutablePointer<Atomic<Int>>.allocate(capacity: 1)
    count.initialize(to: Atomic(0))
    self.count = count
    let table = UnsafeMutablePointer<Atomic<UInt>>.allocate(capacity: words * capacity)
    for word in 0..<words * capacity { (table + word).initialize(to: Atomic(0)) }
    self.table = table
  }

  static func add(_ bytes: UnsafeRawBufferPointer) -> Int? {
    guard let table else { return nil }
    let start = UInt(bitPattern: bytes.baseAddress)
    for place in 0..<capacity {
      let entry = table + words * place
      // A place is taken by its start, and counts once it has an end.
      let (isFree, _) = entry[0].compareExchange(
        expected: 0, desired: start, ordering: .acquiringAndReleasing)
      guard isFree else { continue }
      entry[2].store(0, ordering: .relaxed)
      entry[1].store(start + UInt(bytes.count), ordering: .releasing)
      return place
    }
    return nil
  }

  static func remove(_ place: Int) {
    guard let entry = table.map({ $0 + words * place }) else { return }
    entry[1].store(0, ordering: .releasing)
    entry[0].store(0, ordering: .releasing)
  }

  static func hasFaults(_ place: Int) -> Bool {
    table.map { $0[words * place + 2].load(ordering: .relaxed) != 0 } ?? false
  }

  /// Puts zeros in the place of a page that is missing from a mapping; false for an address that is in none.
  static func replacePage(at address: UnsafeMutableRawPointer?) -> Bool {
    guard let table, let count else { return false }
    let address = UInt(bitPattern: address)
    var place = 0
    while place < capacity {
      let entry = table + words * place
      let end = entry[1].load(ordering: .acquiring)
      if end != 0, address >= entry[0].load(ordering: .relaxed),
        address < (end + pageSize - 1) & ~(pageSize - 1)
      {
        let page = UnsafeMutableRawPointer(bitPattern: address & ~(pageSize - 1))
        let zeros = mmap(page, Int(pageSize), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
        guard zeros != MAP_FAILED else { return false }
        entry[2].wrappingAdd(1, ordering: .relaxed)
        count.pointee.wrappingAdd(1, ordering: .releasing)
        return true
      }
      place += 1
    }
    return false
  }
}
