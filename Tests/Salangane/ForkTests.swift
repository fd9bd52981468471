#if os(Linux)
  import Foundation
  import Glibc
  import Salangane
  import SalanganeTestSupport
  import Testing

  /// A program that computes and forks: its child has none of the computing threads.
  @Suite struct ForkTests {
    private typealias Fork = @convention(c) () -> pid_t

    /// `fork`, which Swift doesn't let us call by its name.
    private static func fork() throws -> pid_t {
      let symbol = try #require(dlsym(nil, "fork"))
      return unsafeBitCast(symbol, to: Fork.self)()
    }

    /// Runs `body` in a child, and returns the status that it exits with; nil if it hangs or a signal ends it.
    private static func inChild(_ body: () async -> Int32) async throws -> Int32? {
      let child = try fork()
      if child == 0 { _exit(await body()) }
      var status: Int32 = 0
      for _ in 0..<400 {
        if waitpid(child, &status, WNOHANG) == child {
          return status & 0x7F == 0 ? (status >> 8) & 0xFF : nil
        }
        usleep(50_000)
      }
      kill(child, SIGKILL)
      waitpid(child, &status, 0)
      return nil
    }

    /// 0 for the error of a child, 1 for an answer, 2 for another error.
    private static func status(_ body: () async throws -> Void) async -> Int32 {
      do {
        try await body()
        return 1
      } catch ComputeError.forked {
        return 0
      } catch {
        return 2
      }
    }

    /// In a process of its own, whose threads are as few as can be.
    @Test func childrenAreRefused() async {
      await #expect(processExitsWith: .success) {
        let url = GoldenModel.all[0].url
        let embedder = try await Embedder(contentsOf: url)
        let model = try await GenerationGolden.model()
        let reranker = try await Reranker(contentsOf: RerankerTests.url)
        let expected = try await embedder.embed("a swift")
        let requests: [@Sendable () async throws -> Void] = [
          { _ = try await embedder.embed("a swift") },
          { _ = try await Embedder(contentsOf: url) },
          { _ = try await model.generate("a swift", options: .init(maximumTokens: 2)).summary() },
          { _ = try await model.logits(tokens: [1, 2]) },
          { _ = try await reranker.score(query: "a", documents: ["b"]) },
        ]
        for (index, request) in requests.enumerated() {
          let status = try await ForkTests.inChild { await ForkTests.status(request) }
          #expect(status == 0, "request \(index): \(status as Any)")
        }
        // The parent goes on as before.
        #expect(try await embedder.embed("a swift") == expected)
      }
    }

    @Test func description() {
      #expect("\(ComputeError.forked)".contains("child of its fork"))
    }
  }
#endif
