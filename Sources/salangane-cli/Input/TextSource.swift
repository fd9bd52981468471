import ArgumentParser
import SalanganeFiles

/// How an input file holds texts.
enum InputFormat: String, ExpressibleByArgument, CaseIterable {
  /// Every line is a text, empty lines too.
  case lines
  /// Every line is a JSON object with a member `text` and, if wanted, `id`.
  case jsonl
}

/// A text of the input, or what is wrong with it.
struct InputText {
  /// The number of the line that it stands in, from 1; nil for a text of the command line.
  var line: Int?
  /// The JSON text of the `id` that goes with it.
  var id: [UInt8]?
  /// The text, or a line on what was expected.
  var text: Result<String, Problem>

  /// What is wrong with one line.
  struct Problem: Error {
    let message: String
  }
}

/// Where texts come from: the command line or a file, read as it is needed.
struct TextSource {
  /// What messages call the source.
  let name: String

  private var texts: ArraySlice<String> = []
  private var lines: LineReader?
  private let format: InputFormat
  private let skipsBlankLines: Bool

  /// The texts of the command line.
  init(texts: [String]) {
    name = "command line"
    self.texts = texts[...]
    format = .lines
    skipsBlankLines = false
  }

  /// The texts in a file; `-` is standard input.
  ///
  /// - Throws: `ModelFileError` if it can't be opened.
  init(path: String, format: InputFormat, skippingBlankLines skipsBlankLines: Bool = false) throws {
    let file = try InputFile(path: path)
    name = file.name
    lines = LineReader(file)
    self.format = format
    self.skipsBlankLines = skipsBlankLines || format == .jsonl
  }

  /// The share that has been read, 0 to 1; nil if the size isn't known.
  var progress: Double? {
    guard let file = lines?.file, let size = file.size, size > 0 else { return nil }
    return min(1, Double(file.position) / Double(size))
  }

  /// The next texts, at most `limit` and not much more than 1 MiB; empty at the end.
  ///
  /// - Throws: `ModelFileError` if the file can't be read.
  mutating func nextBatch(limit: Int) throws -> [InputText] {
    var batch: [InputText] = []
    var byteCount = 0
    while batch.count < limit, byteCount < 1 << 20, let text = try next() {
      if case .success(let text) = text.text { byteCount += text.utf8.count }
      batch.append(text)
    }
    return batch
  }

  private mutating func next() throws -> InputText? {
    if let text = texts.popFirst() { return InputText(text: .success(text)) }
    while let line = try lines?.next() {
      if skipsBlankLines && line.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) { continue }
      let number = lines?.lineNumber ?? 0
      do throws(ModelFileError) {
        return try format == .lines ? plain(line, number) : object(line, number)
      } catch {
        let message = [error.subject, error.expectation].compactMap { $0 }.joined(separator: ": ")
        return InputText(line: number, text: .failure(.init(message: message)))
      }
    }
    return nil
  }

  private func plain(_ line: [UInt8], _ number: Int) throws(ModelFileError) -> InputText {
    guard let text = String(validating: line, as: UTF8.self) else {
      throw ModelFileError(.malformed, file: name, expectation: "expected UTF-8, found other bytes")
    }
    return InputText(line: number, text: .success(text))
  }

  private func object(_ line: [UInt8], _ number: Int) throws(ModelFileError) -> InputText {
    let root = try JSONDocument(line, file: name).root
    guard root.kind == .object else {
      throw ModelFileError(.malformed, file: name, expectation: #"expected an object with "text""#)
    }
    var text: InputText = InputText(
      line: number, text: .failure(.init(message: #"text: expected a string"#)))
    for (position, member) in root.members.enumerated() {
      switch member.key.string {
      case "id": text.id = RawJSON.value(ofMember: position, in: line).map(Array.init)
      case "text":
        if let string = member.value.string { text.text = .success(string) }
      default: break
      }
    }
    return text
  }
}
