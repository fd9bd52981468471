import SalanganeHostileInput

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// libFuzzer's own main function, to be called with a function that tries one input.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// What is fuzzed: libFuzzer's function takes no context. One thread runs it.
nonisolated(unsafe) private var runner: HostileInputRunner?

/// `salangane-fuzz KIND DIRECTORY GOLDENS [arguments of libFuzzer]`, or `salangane-fuzz corpus DIRECTORY` for the corpus
/// of malformed files, or `salangane-fuzz write-prompt-cache FILE GOLDENS` for a seed; Scripts/fuzz calls it.
@main
enum Fuzz {
  static func main() async throws {
    let words = CommandLine.arguments
    if words.count == 3, words[1] == "corpus" {
      let corpus = try MalformedCorpus(path: words[2])
      var wrong = 0
      for number in corpus.cases.indices {
        for fault in try await corpus.faults(ofCase: number) {
          print(fault)
          wrong += 1
        }
      }
      print("\(corpus.cases.count) cases, \(wrong) wrong")
      exit(wrong == 0 ? 0 : 1)
    }
    if words.count == 4, words[1] == "write-prompt-cache" {
      try await HostileInputRunner.writePromptCache(to: words[2], goldens: words[3])
      exit(0)
    }
    await fuzz(words)
  }

  private static func fuzz(_ words: [String]) async -> Never {
    guard words.count >= 4, let kind = HostileInput(rawValue: words[1]) else {
      let kinds = HostileInput.allCases.map(\.rawValue).joined(separator: ", ")
      print("usage: salangane-fuzz KIND DIRECTORY GOLDENS [libFuzzer's arguments]; KIND is one of \(kinds)")
      exit(64)
    }
    do {
      runner = try await HostileInputRunner(kind, directory: words[2], goldens: words[3])
    } catch {
      print("error: \(error)")
      exit(66)
    }
    var arguments = ([words[0]] + words.dropFirst(4)).map { strdup($0) } + [nil]
    var count = CInt(arguments.count - 1)
    let status = arguments.withUnsafeMutableBufferPointer { buffer -> CInt in
      var start = buffer.baseAddress
      return withUnsafeMutablePointer(to: &start) { start in
        runDriver(
          &count,
          UnsafeMutableRawPointer(start).assumingMemoryBound(
            to: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?.self)
        ) { data, size in
          do {
            _ = try runner?.run(Array(UnsafeBufferPointer(start: data, count: size)))
          } catch {
            fatalError("an error that isn't ours: \(error)")
          }
          return 0
        }
      }
    }
    exit(status)
  }
}
