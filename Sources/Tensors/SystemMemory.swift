#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The memory that this process can have.
package struct SystemMemory: Sendable, Equatable {
  /// Bytes that it can have at most: the machine's memory and swap space, or less if it is limited.
  package let limit: Int
  /// Bytes that it can have now.
  package let available: Int

  /// Asks the system.
  package static var current: SystemMemory {
    #if canImport(Glibc)
      var memory = (limit: Int.max, available: Int.max)
      if let text = read("/proc/meminfo"), let machine = parse(meminfo: text) { memory = machine }
      for group in controlGroups() {
        // What files take of a group's memory can be had.
        let used = max(0, group.used - group.files)
        memory = (min(memory.limit, group.limit), min(memory.available, max(0, group.limit - used)))
      }
      var data = rlimit()
      if getrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &data) == 0, data.rlim_cur < rlim_t(Int.max) {
        memory = (min(memory.limit, Int(data.rlim_cur)), min(memory.available, Int(data.rlim_cur)))
      }
      return SystemMemory(limit: memory.limit, available: memory.available)
    #else
      var bytes: UInt64 = 0
      var size = MemoryLayout<UInt64>.size
      guard sysctlbyname("hw.memsize", &bytes, &size, nil, 0) == 0 else {
        return SystemMemory(limit: .max, available: .max)
      }
      return SystemMemory(limit: Int(bytes), available: Int(bytes))
    #endif
  }

  /// The most memory that this process has had at a time, mapped pages of files included; nil where the system
  /// doesn't tell.
  package static var peakOfProcess: Int? {
    #if canImport(Glibc)
      for line in (read("/proc/self/status") ?? "").split(separator: "\n") where line.hasPrefix("VmHWM:") {
        return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
          .flatMap { Int($0) }.map { $0 << 10 }
      }
      return nil
    #else
      var usage = rusage()
      return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : nil
    #endif
  }

  /// Describes memory.
  package init(limit: Int, available: Int) {
    self.limit = limit
    self.available = min(limit, available)
  }

  /// Reads `/proc/meminfo`, which counts in KiB.
  package static func parse(meminfo text: String) -> (limit: Int, available: Int)? {
    var values: [String: Int] = [:]
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ", omittingEmptySubsequences: true)
      guard fields.count >= 2, let kibibytes = Int(fields[1]), kibibytes < Int.max >> 12 else { continue }
      values[String(fields[0])] = kibibytes << 10
    }
    guard let total = values["MemTotal:"], let available = values["MemAvailable:"] else { return nil }
    return (total + (values["SwapTotal:"] ?? 0), available + (values["SwapFree:"] ?? 0))
  }

  #if canImport(Glibc)
    /// The limits of the process's control groups, of both versions, and of the groups around them.
    private static func controlGroups() -> [(limit: Int, used: Int, files: Int)] {
      var groups: [(limit: Int, used: Int, files: Int)] = []
      for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
        let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard fields.count == 3 else { continue }
        let isSecond = fields[1].isEmpty
        guard isSecond || fields[1].split(separator: ",").contains("memory") else { continue }
        let root = isSecond ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
        let names =
          isSecond ? ("memory.max", "memory.current") : ("memory.limit_in_bytes", "memory.usage_in_bytes")
        var path = String(fields[2])
        while true {
          let folder = root + (path == "/" ? "" : path)
          if let limit = number("\(folder)/\(names.0)"), let used = number("\(folder)/\(names.1)") {
            groups.append((limit, used, files(folder)))
          }
          guard let slash = path.lastIndex(of: "/"), path != "/", !path.isEmpty else { break }
          path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
      }
      return groups
    }

    private static func files(_ folder: String) -> Int {
      for line in (read("\(folder)/memory.stat") ?? "").split(separator: "\n") {
        let fields = line.split(separator: " ")
        if fields.count == 2, fields[0] == "inactive_file", let bytes = Int(fields[1]) { return bytes }
      }
      return 0
    }

    private static func number(_ path: String) -> Int? {
      read(path).flatMap { Int($0.split(separator: "\n").first ?? "") }
    }

    /// A small file of the system's.
    private static func read(_ path: String) -> String? {
      guard let file = fopen(path, "r") else { return nil }
      defer { fclose(file) }
      return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1 << 16) { bytes in
        let count = fread(bytes.baseAddress, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
      }
    }
  #endif
}
