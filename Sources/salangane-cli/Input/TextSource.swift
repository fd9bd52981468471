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
  /// The number of the line that it comes from, counted from 1; 0 on the command line.
  var line = 0
  /// The JSON text of the `id` that goes with it.
  var id: [UInt8]?
  /// What is to be embedded.
  var content: Result<Content, Problem>

  /// A text, or a text that is split already.
  enum Content {
    case text(String)
    case tokens([Int32])
  }

  /// What is wrong with one line.
  struct Problem: Error {
    /// What was expected, and what was found.
    let message: String
  }
}

/// Where texts come from: the command line or a file, read as it is needed.
struct TextSource {
  /// What messages call the source.
  let name: String

  private var given: ArraySlice<InputText.Content> = []
  private var path: String?
  private var lines: LineReader?
  private let format: InputFormat
  private let skipsBlankLines: Bool

  /// The texts of the command line.
  init(texts: [String]) { self.init(given: texts.map { .text($0) }) }

  /// The token ids of the command line.
  init(tokens: [[Int32]]) { self.init(given: tokens.map { .tokens($0) }) }

  private init(given: [InputText.Content]) {
    name = "command line"
    self.given = given[...]
    format = .lines
    skipsBlankLines = false
  }

  /// The texts in a file; `-` is standard input.
  ///
  /// - Throws: `ModelFileError` if it can't be opened.
  init(path: String, format: InputFormat, skippingBlankLines skipsBlankLines: Bool = false) throws {
    let file = try InputFile(path: path)
    name = file.name
    self.path = path
    lines = LineReader(file)
    self.format = format
    self.skipsBlankLines = skipsBlankLines || format == .jsonl
  }

  /// How many texts there are, counted in a pass of its own; nil if the source can be read only once.
  ///
  /// - Throws: `ModelFileError` if the file can't be read.
  func count() throws -> Int? {
    guard let path else { return given.count }
    let file = try InputFile(path: path)
    guard file.size != nil else { return nil }
    var lines = LineReader(file)
    var count = 0
    while let line = try lines.next() { count += isSkipped(line) ? 0 : 1 }
    return count
  }

  /// The share that has been read, 0 to 1; nil if the size isn't known.
  var progress: Double? {
    guard let lines, let size = lines.file.size, size > 0 else { return nil }
    return min(1, Double(lines.consumed) / Double(size))
  }

  /// The next texts, at most `limit` and not much more than 1 MiB; empty at the end.
  ///
  /// - Throws: `ModelFileError` if the file can't be read.
  mutating func nextBatch(limit: Int) throws -> [InputText] {
    var batch: [InputText] = []
    var byteCount = 0
    while batch.count < limit, byteCount < 1 << 20, let text = try next() {
      if case .success(.text(let text)) = text.content { byteCount += text.utf8.count }
      batch.append(text)
    }
    return batch
  }

  private func isSkipped(_ line: [UInt8]) -> Bool {
    skipsBlankLines && line.allSatisfy { $0 == 0x20 || (0x09...0x0D).contains($0) }
  }

  private mutating func next() throws -> InputText? {
    if let content = given.popFirst() { return InputText(content: .success(content)) }
    while let line = try lines?.next() {
      if isSkipped(line) { continue }
      let number = lines?.lineNumber ?? 0
      do throws(ModelFileError) {
        var text = format == .lines ? try plain(line) : try object(line)
        text.line = number
        return text
      } catch {
        let message = [error.subject, error.expectation].compactMap { $0 }.joined(separator: ": ")
        return InputText(line: number, content: .failure(.init(message: message)))
      }
    }
    return nil
  }

  private func plain(_ line: [UInt8]) throws(ModelFileError) -> InputText {
    guard let text = String(validating: line, as: UTF8.self) else {
      throw ModelFileError(.malformed, file: name, expectation: "expected UTF-8, found other bytes")
    }
    return InputText(content: .success(.text(text)))
  }

  private func object(_ line: [UInt8]) throws(ModelFileError) -> InputText {
    let root: JSONValue
    do throws(ModelFileError) {
      root = try JSONDocument(line, file: name).root
    } catch {
      // To the reader every line is a text of its own; the number of ours is named with the error.
      var error = error
      error.expectation.replace("(line 1, column", with: "(column")
      throw error
    }
    guard root.kind == .object else {
      throw ModelFileError(.malformed, file: name, expectation: #"expected an object with "text""#)
    }
    var text = InputText(content: .failure(.init(message: "text: expected a string")))
    for (position, member) in root.members.enumerated() {
      switch member.key.string {
      case "id": text.id = RawJSON.value(ofMember: position, in: line).map(Array.init)
      case "text":
        if let string = member.value.string { text.content = .success(.text(string)) }
      default: break
      }
    }
    return text
  }
}
