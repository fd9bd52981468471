import Foundation
import SalanganeKernels
import SalanganeTestSupport
import Testing

@Suite struct RooflineCommandTests {
  @Test func printsWhatScriptsRead() async throws {
    let arguments = ["roofline", "-t", "2", "-r", "1", "--type", "F32", "--columns", "512", "--depth", "512"]
    let result = try await Command.run(arguments + ["--format", "json"])
    #expect(result.status == 0, "\(result.errors)")
    let report = try #require(try result.json() as? [String: Any])
    #expect(report["threads"] as? Int == 2)
    let isa = try #require(report["isa"] as? String)
    #expect(InstructionSet(rawValue: isa) != nil)
    let ceilings = try #require(report["ceilings"] as? [String: Double])
    #expect(Set(ceilings.keys) == ["read_gb_per_s", "int8_gmac_per_s", "f32_gflop_per_s"])
    #expect(ceilings.values.allSatisfy { $0 > 0 })
    let kernels = try #require(report["kernels"] as? [[String: Any]])
    #expect(kernels.count == 4)
    for kernel in kernels {
      #expect(kernel["type"] as? String == "F32")
      let rows = try #require(kernel["rows"] as? Int)
      #expect(kernel["kernel"] as? String == (rows == 1 ? "gemv" : "gemm"))
      #expect(kernel["of"] as? String == (rows == 1 ? "read" : "f32"))
      #expect(kernel["columns"] as? Int == 512 && kernel["depth"] as? Int == 512)
      #expect((kernel["share"] as? Double ?? 0) > 0)
    }
    let text = try await Command.run(arguments)
    #expect(text.lines.count == 9 && text.text.hasPrefix("2 threads, \(isa)\n"))
  }

  @Test func measuresCeilingsAlone() async throws {
    let result = try await Command.run(["roofline", "--ceilings", "-t", "1", "-r", "1", "--format", "json"])
    #expect(result.status == 0, "\(result.errors)")
    let report = try #require(try result.json() as? [String: Any])
    let ceilings = try #require(report["ceilings"] as? [String: Double])
    #expect(ceilings.count == 3 && ceilings.values.allSatisfy { $0 > 0 })
    #expect((report["kernels"] as? [Any])?.isEmpty == true)
    let refused = try await Command.run(["roofline", "--ceilings", "--type", "F32"])
    #expect(refused.status == 64 && refused.output.isEmpty)
  }
}

@Suite struct SynthesizeTests {
  @Test func writesAModelThatIsRead() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("model.gguf")
    let result = try await Command.run([
      "synthesize", "qwen3-0.6b", path, "--type", "q8_0", "--layers", "1", "-t", "2",
    ])
    #expect(result.status == 0 && result.output.isEmpty && result.errors.isEmpty)
    #expect(try directory.names() == ["model.gguf"])
    let inspection = try await Command.run(["inspect", path, "--format", "json"])
    let report = try #require(try inspection.json() as? [String: Any])
    #expect(report["architecture"] as? String == "qwen3")
    let tokens = try await Command.run(["tokenize", "--model", path, "the dark"])
    #expect(tokens.status == 0)
  }
}
