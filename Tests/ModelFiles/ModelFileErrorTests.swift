import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct ModelFileErrorTests {
  @Test func isOneLineWhateverTheNames() {
    let error = ModelFileError(
      .malformed, file: "model.gguf", subject: "a\nb\u{1B}[31m\u{2028}\u{202E}é", expectation: "expected\r\nb"
    )
    let line = error.description
    #expect(line == "model.gguf: a\\u{a}b\\u{1b}[31m\\u{2028}\\u{202e}é: expected\\u{d}\\u{a}b")
    #expect(!line.contains { $0.isNewline })
  }

  @Test func isBounded() {
    let long = String(repeating: "x", count: 100_000)
    #expect(ModelFileError(.missing, file: "f", subject: long, expectation: long).description.count < 900)
  }

  @Test func typesHaveTheirNamesAndSizes() {
    #expect(Set(TensorType.allCases.map(\.name)).count == TensorType.allCases.count)
    for type in TensorType.allCases {
      #expect(type.byteCount(ofValues: 2 * type.valuesPerBlock) == 2 * type.bytesPerBlock)
      #expect(type.byteCount(ofValues: 0) == 0)
      #expect(type.byteCount(ofValues: -type.valuesPerBlock) == nil)
      #expect(type.isQuantized == (type.byteCount(ofValues: 1) == nil))
    }
    #expect(TensorType.q4_K.name == "Q4_K")
    #expect(TensorType.f8_E4M3.name == "F8_E4M3")
    #expect(TensorType.c64.byteCount(ofValues: .max) == nil)
  }
}
