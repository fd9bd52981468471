import Foundation
import SalanganeTestSupport
import Testing

/// What `embed` makes of input and output that isn't as it should be.
@Suite struct EmbedInputTests {
  private func vectors(of texts: [String]) async throws -> [[Float]?] {
    try await embed(["--"] + texts).rows().map(\.embedding)
  }

  @Test(arguments: ["LF", "CR LF", "byte order mark"])
  func lines(kind: String) async throws {
    let input =
      switch kind {
      case "LF": "one\ntwo\n\nthree\n"
      case "CR LF": "one\r\ntwo\r\n\r\nthree"
      default: "\u{FEFF}one\ntwo\n\nthree\r\n"
      }
    let result = try await embed(["--input", "-"], input: Array(input.utf8))
    #expect(result.status == 0)
    #expect(try result.rows().map(\.embedding) == (try await vectors(of: ["one", "two", "", "three"])))
  }

  @Test func aVeryLongLine() async throws {
    let line = String(repeating: "swift ", count: 300_000)
    let result = try await embed(["--input", "-"], input: Array("a\n\(line)\nb".utf8))
    #expect(result.status == 0, "\(result.errors)")
    let rows = try result.rows()
    #expect(rows.map { $0["tokens"] as? Int } == [3, 40, 3])
    #expect(rows.map { $0["truncated"] as? Bool } == [nil, true, nil])
  }

  @Test func linesThatAreNotUTF8() async throws {
    let input = Array("one\n".utf8) + [0xFF, 0x0A] + Array("two\n".utf8) + [0xE9, 0x0A]
    let result = try await embed(["--input", "-"], input: input)
    #expect(result.status == 65)
    #expect(
      result.errorLines == [
        "error: standard input: line 2: expected UTF-8, found other bytes",
        "error: standard input: line 4: expected UTF-8, found other bytes",
        "error: standard input: 2 of 4 texts can't be embedded",
      ])
    let rows = try result.rows()
    #expect(rows.map { $0["index"] as? Int } == [0, 1, 2, 3])
    #expect(rows.map { $0["error"] != nil } == [false, true, false, true])
    let expected = try await vectors(of: ["one", "two"])
    #expect([rows[0].embedding, rows[2].embedding] == expected)
  }

  @Test func jsonLines() async throws {
    let lines = [
      #"{"id":"a","text":"one"}"#,
      #"{"text" : "t\u0077o" , "id" : 12345678901234567890123.4500 }"#,
      "", "   ",
      #"{"id":[1, {"text":"no"}],"text":"three","other":{"id":7}}"#,
      #"{"text":"four"}"#,
      #"{"id":null,"text":""}"#,
    ]
    let result = try await embed(
      ["--input", "-", "--input-format", "jsonl"], input: Array(lines.joined(separator: "\r\n").utf8))
    #expect(result.status == 0, "\(result.errors)")
    #expect(
      try result.rows().map(\.embedding) == (try await vectors(of: ["one", "two", "three", "four", ""])))
    let starts = [
      #"{"index":0,"id":"a","tokens":"#, #"{"index":1,"id":12345678901234567890123.4500,"tokens":"#,
      #"{"index":2,"id":[1, {"text":"no"}],"tokens":"#, #"{"index":3,"tokens":"#,
      #"{"index":4,"id":null,"tokens":"#,
    ]
    #expect(result.lines.count == starts.count)
    for (line, start) in zip(result.lines, starts) { #expect(line.hasPrefix(start), "\(line.prefix(80))") }
  }

  @Test(arguments: [
    (#"{"text":"#, nil), (#"{"id":1}"#, "1"), (#"{"id":2,"text":3}"#, "2"), (#"["text"]"#, nil), ("one", nil),
    (#"{"text":"a"} {}"#, nil), (#"{"text":"\ud800"}"#, nil), (#"{"text":"a","text":"b"}"#, nil),
    (#"{"text":NaN}"#, nil), (String(repeating: "[", count: 100_000), nil),
  ])
  func spoiledJSONLines(line: String, id: String?) async throws {
    let input = #"{"text":"one"}"# + "\n\n\(line)\n" + #"{"text":"two"}"#
    let arguments = ["--input", "-", "--input-format", "jsonl"]
    let result = try await embed(arguments, input: Array(input.utf8))
    #expect(result.status == 65)
    #expect(result.errorLines.count == 2)
    #expect(result.errors.hasPrefix("error: standard input: line 3: "), "\(result.errors)")
    let rows = try result.rows()
    #expect(rows.map { $0["error"] != nil } == [false, true, false])
    #expect(result.lines[1].hasPrefix(#"{"index":1,"# + (id.map { #""id":\#($0),"# } ?? "") + #""error":""#))
    let expected = try await vectors(of: ["one", "two"])
    #expect([rows[0].embedding, rows[2].embedding] == expected)

    let array = try await embed(arguments + ["--format", "npy"], input: Array(input.utf8))
    #expect(array.status == 65)
    #expect(array.output.isEmpty)
  }

  @Test func aFailedRunLeavesTheOutputAsItWas() async throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("before", to: "out")
    let arguments = ["--input", "-", "--input-format", "jsonl", "--output", path, "--format"]
    let failed = try await embed(arguments + ["npy"], input: Array("{\"text\":\"a\"}\n{".utf8))
    #expect(failed.status == 65)
    #expect(try directory.read("out") == Array("before".utf8))
    #expect(try directory.names() == ["out"])
    // Rows with errors are rows.
    let partly = try await embed(arguments + ["jsonl"], input: Array("{\"text\":\"a\"}\n{".utf8))
    #expect(partly.status == 65)
    #expect(try directory.read("out").split(separator: 0x0A).count == 2)
    #expect(try directory.names() == ["out"])
  }

  @Test func orderOfManyTexts() async throws {
    let directory = try TemporaryDirectory()
    var random = SplitMix64(seed: 5)
    let lines = (0..<3000).map { index in
      let words = (0..<Int.random(in: 0...20, using: &random)).map { _ in
        ["swift", "the", "cave", "fly", "sea"].randomElement(using: &random)!
      }
      return #"{"id":\#(index * 7),"text":"\#(words.joined(separator: " "))"}"#
    }
    let path = try directory.write(lines.joined(separator: "\n"), to: "texts")
    let result = try await embed(["--input", path, "--input-format", "jsonl", "--dimensions", "3"])
    #expect(result.status == 0, "\(result.errors)")
    let rows = try result.rows()
    #expect(rows.map { $0["index"] as? Int } == Array(0..<3000))
    #expect(rows.map { $0["id"] as? Int } == (0..<3000).map { $0 * 7 })
    // A text's vector is the same wherever it stands.
    var known: [String: [Float]] = [:]
    for (line, row) in zip(lines, rows) {
      let text = line.split(separator: #""text":"#)[1]
      let vector = try #require(row.embedding)
      #expect(known[String(text), default: vector] == vector)
      known[String(text)] = vector
    }
    #expect(known.count > 1000)
  }

  @Test func aReaderThatLeaves() async throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write(String(repeating: "swift\n", count: 4000), to: "texts")
    let result = try await Command.shell(
      #"{ "$@"; echo "status $?" >&2; } | head -c 100 >/dev/null"#,
      ["embed", "--model", TinyModel.directory, "--input", path])
    #expect(result.errors == "status 0\n")
  }

  @Test(arguments: ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
  func closedDescriptors(closed: String) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("out")
    let written = try await Command.shell(
      #""$@" \#(closed)"#, ["embed", "--model", TinyModel.directory, "--output", path, "swift"])
    #expect(written.status == 0)
    #expect(try directory.read("out").starts(with: Array(#"{"index":0,"#.utf8)))
    let printed = try await Command.shell(
      #""$@" \#(closed)"#, ["embed", "--model", TinyModel.directory, "swift"])
    #expect(printed.status == (closed.contains(">&-") && closed.first != "2" ? 66 : 0))
  }

  #if os(Linux)
    @Test func aFullDisk() async throws {
      let result = try await Command.shell(
        #""$@" >/dev/full"#, ["embed", "--model", TinyModel.directory, "swift"])
      #expect(result.status == 66)
      #expect(result.errors == "error: standard output: expected to write, found No space left on device\n")
    }
  #endif
}
