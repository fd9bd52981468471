#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif
#if arch(x86_64)
  import _Builtin_intrinsics.intel.cpuid
#endif

/// A set of kernels for one level of the CPU's vector instructions.
public enum InstructionSet: String, CaseIterable, Comparable, Sendable {
  /// What the compiler makes of plain Swift SIMD on the architecture's baseline; runs everywhere and is
  /// the oracle for the others.
  case portable
  /// x86-64 with AVX2, FMA and F16C.
  case avx2
  /// x86-64 with AVX-512 F, BW, VL, DQ and VNNI.
  case avx512

  /// Orders the sets from the most widely available to the fastest.
  public static func < (left: Self, right: Self) -> Bool {
    guard let a = allCases.firstIndex(of: left), let b = allCases.firstIndex(of: right) else { return false }
    return a < b
  }

  /// The sets that this CPU and operating system can run, `portable` first.
  public static let available: [InstructionSet] = {
    var sets: [InstructionSet] = [.portable]
    #if arch(x86_64)
      let features = CPUFeatures.detect()
      if features.avx2 { sets.append(.avx2) }
      if features.avx2 && features.avx512 { sets.append(.avx512) }
    #endif
    return sets
  }()

  /// The set that is used unless a caller asks for another.
  ///
  /// It is the one that `SALANGANE_ISA` names, or else the fastest available.
  ///
  /// - Throws: `InstructionSetError` if `SALANGANE_ISA` names one that is unknown or can't run here.
  public static var preferred: InstructionSet {
    get throws(InstructionSetError) { try requested() ?? available.last ?? .portable }
  }

  /// The set named by the environment variable `SALANGANE_ISA`, nil if it isn't set.
  ///
  /// - Throws: `InstructionSetError` if the name is unknown or the CPU lacks the instructions.
  public static func requested() throws(InstructionSetError) -> InstructionSet? {
    guard let value = getenv("SALANGANE_ISA") else { return nil }
    let name = String(cString: value)
    return name.isEmpty ? nil : try named(name)
  }

  /// The set of that name.
  ///
  /// - Throws: `InstructionSetError` if the name is unknown or the CPU lacks the instructions.
  public static func named(_ name: String) throws(InstructionSetError) -> InstructionSet {
    guard let set = InstructionSet(rawValue: name), available.contains(set) else {
      throw InstructionSetError(name: name)
    }
    return set
  }
}

/// A set of instructions was asked for that is unknown, or that this CPU can't run.
public struct InstructionSetError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What was asked for.
  public let name: String

  /// Creates an error about the set of that name.
  public init(name: String) { self.name = name }

  /// One line that names the set and what is available instead.
  public var description: String {
    let names = InstructionSet.available.map(\.rawValue).joined(separator: ", ")
    return "instruction set '\(name)' is not available: expected one of \(names)"
  }
}

#if arch(x86_64)
  /// What CPUID reports and the operating system allows.
  private struct CPUFeatures {
    var avx2 = false
    var avx512 = false

    static func detect() -> CPUFeatures {
      var features = CPUFeatures()
      var eax: UInt32 = 0
      var ebx: UInt32 = 0
      var ecx: UInt32 = 0
      var edx: UInt32 = 0
      guard __get_cpuid_count(1, 0, &eax, &ebx, &ecx, &edx) != 0 else { return features }
      let hasSavedState = ecx & (1 << 27) != 0
      let hasFMA = ecx & (1 << 12) != 0
      let hasAVX = ecx & (1 << 28) != 0
      let hasF16C = ecx & (1 << 29) != 0
      guard hasSavedState, hasFMA, hasAVX, hasF16C else { return features }
      guard __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 else { return features }
      let hasAVX2 = ebx & (1 << 5) != 0
      let foundation: UInt32 = (1 << 16) | (1 << 17) | (1 << 30) | (1 << 31)
      let hasAVX512 = ebx & foundation == foundation && ecx & (1 << 11) != 0

      // CPUID says what the silicon has; the kernel's list says what it saves across a task switch.
      let allowed = kernelFlags()
      func allows(_ names: [String]) -> Bool {
        guard let allowed else { return true }
        return names.allSatisfy(allowed.contains)
      }
      features.avx2 = hasAVX2 && allows(["avx2", "fma", "f16c"])
      features.avx512 =
        hasAVX512 && allows(["avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"])
      return features
    }

    /// The `flags` line of the first CPU in `/proc/cpuinfo`; nil where there is none (not Linux).
    private static func kernelFlags() -> Set<String>? {
      guard let file = fopen("/proc/cpuinfo", "r") else { return nil }
      defer { fclose(file) }
      var line = [CChar](repeating: 0, count: 8192)
      while fgets(&line, Int32(line.count), file) != nil {
        let bytes = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasPrefix("flags") else { continue }
        return Set(text.split(whereSeparator: { " \t\n:".contains($0) }).map(String.init))
      }
      return nil
    }
  }
#endif
