import SalanganeFiles
import SalanganeTestSupport
import Testing

/// Files that the formats' own libraries wrote, and what these say is in them.
@Suite struct GoldenFileTests {
  private func expectation(_ name: String) throws -> JSONValue {
    let path = TestFiles.golden("files/\(name).json")
    return try JSONDocument(TestFiles.read(path), file: path).root
  }

  private func check(_ tensors: [StoredTensor], _ expected: JSONValue) throws {
    let expected = try Array(#require(expected["tensors"]).elements)
    #expect(Set(tensors.map(\.name)) == Set(expected.compactMap { $0["name"]?.string }))
    #expect(tensors.count == expected.count)
    for description in expected {
      let tensor = try #require(tensors.first { $0.name == description["name"]?.string })
      #expect(tensor.type.name == description["type"]?.string)
      #expect(tensor.shape == description["shape"]?.elements.compactMap(\.int))
      let bytes = tensor.bytes.map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
      }
      #expect(bytes.joined() == description["bytes"]?.string, "\(tensor)")
    }
  }

  @Test(arguments: [true, false])
  func readsEveryTypeOfGGUF(mapped: Bool) throws {
    let gguf = try GGUFFile(path: TestFiles.golden("files/types.gguf"), mapped: mapped)
    let expected = try expectation("types.gguf")
    #expect(gguf.alignment == 64)
    #expect(gguf.version == 3)
    #expect(gguf.tensors.allSatisfy { $0.offset % 64 == 0 })
    try check(gguf.tensors, expected)
    for (key, value) in try #require(expected["values"]).members {
      let name = try #require(key.string)
      let found = try #require(gguf.metadata["test." + name])
      #expect("\(found.type)" == name)
      switch found {
      case .string(let string): #expect(string == value.string)
      case .bool(let bool): #expect(bool == value.bool)
      case .uint64(let number): #expect(number == .max)
      case .float32, .float64: #expect(found.double == value.double)
      default: #expect(found.int == value.int)
      }
    }
    let metadata = gguf.metadata
    #expect(metadata["test.strings"]?.array?.strings == ["a", "", "é", "\u{1F600}"])
    #expect(metadata["test.integers"]?.array?.ints == [1, -2, 3])
    #expect(metadata["test.floats"]?.array?.floats == [0.5, -0.25])
    #expect(metadata["test.bools"]?.array?.bools == [true, false, true])
    #expect(metadata["test.nested"]?.array?.arrays?.map(\.ints) == [[1, 2], [3]])
    #expect(metadata["test.integers"]?.array?.strings == nil)
    #expect(metadata["test.strings"]?.array?.ints == nil)
    #expect(metadata["test.other"] == nil)
  }

  @Test(arguments: [true, false])
  func readsSplitSets(mapped: Bool) throws {
    let path = TestFiles.golden("files/split-00001-of-00003.gguf")
    let checkpoint = try Checkpoint(path: path, options: .init(mapped: mapped))
    #expect(checkpoint.files.count == 3)
    #expect(checkpoint.tensors.map(\.name) == ["a", "b", "c"])
    try check(checkpoint.tensors, expectation("split.gguf"))
    #expect(checkpoint.architecture == "bert")
    #expect(try checkpoint.hyperparameters.int(.layerCount) == 1)
  }

  @Test(arguments: [true, false])
  func readsEveryTypeOfSafetensors(mapped: Bool) throws {
    let file = try SafetensorsFile(path: TestFiles.golden("files/types.safetensors"), mapped: mapped)
    let expected = try expectation("types.safetensors")
    try check(file.tensors, expected)
    let values = try #require(expected["values"])
    #expect(file.metadata.count == values.count)
    for (key, value) in file.metadata { #expect(values[key]?.string == value) }
    #expect(file.tensor("scalar")?.shape == [])
    #expect(file.tensor("empty")?.byteCount == 0)
    #expect(file.tensor("other") == nil)
  }
}
