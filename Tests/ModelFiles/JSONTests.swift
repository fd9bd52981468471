import SalanganeFiles
import SalanganeTestSupport
import Testing

@Suite struct JSONTests {
  private func parse(_ text: String, limits: JSONLimits = .init()) throws -> JSONValue {
    try JSONDocument(Array(text.utf8), file: "some.json", limits: limits).root
  }

  @Test func readsEveryKindOfValue() throws {
    let root = try parse(
      #" { "null": null, "yes": true, "no": false, "int": -12, "float": 2.5e-3, "text": "a", "list": [1,[2],{}] } "#
    )
    #expect(root.kind == .object)
    #expect(root.count == 7)
    #expect(root["null"]?.isNull == true)
    #expect(root["yes"]?.bool == true)
    #expect(root["no"]?.bool == false)
    #expect(root["int"]?.kind == .integer)
    #expect(root["int"]?.int == -12)
    #expect(root["float"]?.kind == .number)
    #expect(root["float"]?.double == 0.0025)
    #expect(root["float"]?.int == nil)
    #expect(root["text"]?.string == "a")
    #expect(root["text"]?.int == nil)
    #expect(root["missing"] == nil)
    let list = try #require(root["list"])
    #expect(list.elements.map(\.kind) == [.integer, .array, .object])
    #expect(root.members.map { $0.key.string } == ["null", "yes", "no", "int", "float", "text", "list"])
    #expect(Array(root.elements).isEmpty)
    #expect(list["text"] == nil)
  }

  @Test(
    arguments: [
      ("0", 0, 0.0), ("-0", 0, -0.0), ("5.0", 5, 5), ("1e3", 1000, 1000), ("50e-1", 5, 5),
      ("-1.20e2", -120, -120),
      ("9223372036854775807", Int.max, 0x1p63), ("-9223372036854775808", Int.min, -0x1p63),
      ("9223372036854775808", nil, 0x1p63), ("1e30", nil, 1e30), ("1e18", 1_000_000_000_000_000_000, 1e18),
      ("9007199254740993.0", 9_007_199_254_740_993, 9_007_199_254_740_992), ("0.1", nil, 0.1),
      ("1.00000000000000000000000000000", 1, 1), ("3.0000000000000000000000001", nil, 3),
      ("0e99999999999", 0, 0),
      ("1e-400", nil, 0), ("2.2250738585072014e-308", nil, 2.2250738585072014e-308), ("0.05", nil, 0.05),
      ("100.05", nil, 100.05), ("1.7976931348623157e308", nil, 1.7976931348623157e308), ("10.0", 10, 10),
      ("0.00001", nil, 1e-5), ("1000000.0", 1_000_000, 1e6), ("1.5625e-07", nil, 1.5625e-07),
    ] as [(String, Int?, Double)])
  func convertsNumbers(_ text: String, _ integer: Int?, _ double: Double) throws {
    let value = try parse(text)
    #expect(value.int == integer)
    #expect(value.double == double)
    #expect(value.double?.sign == double.sign)
  }

  @Test func convertsRandomNumbersToTheNearestDouble() throws {
    var generator = SplitMix64(seed: 7)
    for _ in 0..<2000 {
      let digits = Int.random(in: 1...20, using: &generator)
      var text = String(Int.random(in: 1...9, using: &generator))
      for _ in 1..<max(digits, 2) { text += String(Int.random(in: 0...9, using: &generator)) }
      if Bool.random(using: &generator) {
        text += "." + String(UInt32.random(in: 0...9999, using: &generator))
      }
      if Bool.random(using: &generator) { text += "e" + String(Int.random(in: -40...40, using: &generator)) }
      #expect(try parse(text).double == Double(text), "\(text)")
    }
  }

  @Test(
    arguments: [
      (#""\"\\\/\b\f\n\r\t""#, [0x22, 0x5C, 0x2F, 8, 12, 10, 13, 9]),
      (#""\u0041\u00e9\u20AC""#, Array("Aé€".utf8)), (#""\ud83d\ude00x""#, Array("😀x".utf8)),
      ("\"é€😀 and a longer plain text\"", Array("é€😀 and a longer plain text".utf8)), (#""""#, []),
      (#""\u0000""#, [0]), ("\"\u{7F}\"", [0x7F]),
      (#""12345678\"12345678\n""#, Array("12345678\"12345678\n".utf8)),
    ] as [(String, [UInt8])])
  func decodesStrings(_ text: String, _ expected: [UInt8]) throws {
    let value = try parse(text)
    #expect(value.utf8 == expected)
    #expect(value.withUTF8 { Array($0) } == expected)
  }

  @Test func comparesKeysByBytes() throws {
    // The two spellings of é are equal as Swift strings.
    let root = try parse("{\"\u{E9}\": 1, \"e\u{301}\": 2, \"\\u0061b\": 3}")
    #expect(root["\u{E9}"]?.int == 1)
    #expect(root["e\u{301}"]?.int == 2)
    #expect(root["ab"]?.int == 3)
  }

  @Test(arguments: [
    ("", "expected a value"), ("  ", "expected a value"), ("nul", "expected null"), ("tru", "expected true"),
    ("True", "expected a value, found 'T'"), ("NaN", "found NaN"), ("[Infinity]", "found Infinity"),
    ("{\"a\": -Infinity}", "a: expected a digit, found -Infinity"), ("01", "leading zeros"),
    ("-", "expected a digit"), ("1.", "expected a digit"), (".5", "expected a value"),
    ("+1", "expected a value"),
    ("1e", "expected a digit"), ("1e+", "expected a digit"), ("1e999", "range of a double"),
    ("-1e309", "range of a double"), (String(repeating: "9", count: 400), "range of a double"),
    (String(repeating: "0", count: 1) + "." + String(repeating: "1", count: 1000), "at most 1000 characters"),
    ("\"abc", "end of this string"), ("\"a\u{1}\"", "control characters"), ("\"a\nb\"", "control characters"),
    (#""\x""#, "one of the escapes"), (#""\u12g4""#, "four hexadecimal"), (#""\u12"#, "four hexadecimal"),
    (#""\ud800""#, "low surrogate"), (#""\ud800\u0041""#, "low surrogate"), (#""\udc00""#, "high surrogate"),
    ("\"\\", "expected an escape"), ("[1,]", "expected a value"), ("[1 2]", "expected a comma"),
    ("[", "expected ']'"),
    ("{\"a\"}", "expected a colon"), ("{\"a\":}", "expected a value"), ("{\"a\":1,}", "expected a key"),
    ("{a:1}", "expected a key"), ("{", "expected '}'"), ("[}", "expected a value"), ("{]", "expected a key"),
    ("1 2", "expected the end of the file"), ("{}x", "expected the end of the file"),
    ("// c\n1", "expected a value"), ("\u{FEFF}{}", "byte order mark"), ("\u{A0}1", "expected a value"),
    ("{\"a\":1,\"b\":2,\"a\":3}", "a: expected the key only once"),
    ("{\"o\":{\"a\":1,\"\\u0061\":3}}", "o.a: expected the key only once"),
    ("[[{\n\"k\": [tru]}]]", "k: expected true, found 't' (line 2, column 7)"),
  ])
  func refusesBadText(_ text: String, _ message: String) throws {
    let error = #expect(throws: ModelFileError.self) { try parse(text) }
    let found = try #require(error)
    #expect(found.kind == .malformed)
    #expect(found.description.contains(message), "\(found)")
    #expect(found.description.hasPrefix("some.json: "))
    #expect(!found.description.contains("\n"))
  }

  @Test(
    arguments: [
      [0x80], [0xC0, 0x80], [0xC3], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80],
      [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xFF],
    ] as [[UInt8]])
  func refusesIllFormedUTF8(_ bytes: [UInt8]) throws {
    let text = Array("\"12345678".utf8) + bytes + Array("12345678\"".utf8)
    let error = #expect(throws: ModelFileError.self) { try JSONDocument(text, file: "f") }
    #expect(try #require(error).description.contains("valid UTF-8"))
  }

  @Test func limitsDepthAndSize() throws {
    let limits = JSONLimits(depth: 3, byteCount: 20)
    #expect(try parse("[[[1]]]", limits: limits).count == 1)
    #expect(throws: ModelFileError.self) { try parse("[[[[1]]]]", limits: limits) }
    #expect(throws: ModelFileError.self) { try parse("[1,2,3,4,5,6,7,8,9,0,1]", limits: limits) }
    let deep = String(repeating: "[", count: 1_000_000)
    #expect(throws: ModelFileError.self) { try parse(deep) }
  }

  @Test(arguments: [10, 13, 200, 5000])
  func findsDuplicatesInObjectsOfAnySize(_ count: Int) throws {
    let members = (0..<count).map { "\"key\($0)\":\($0)" }
    let all = JSONLimits(membersCheckedForDuplicates: .max)
    let valid = "{" + members.joined(separator: ",") + "}"
    #expect(try parse(valid, limits: all).count == count)
    let duplicated = "{" + members.joined(separator: ",") + ",\"key3\":0}"
    let error = #expect(throws: ModelFileError.self) { try parse(duplicated, limits: all) }
    #expect(try #require(error).subject == "key3")
    let few = JSONLimits(membersCheckedForDuplicates: count)
    #expect(try parse(duplicated, limits: few).count == count + 1)
  }

  @Test func survivesMutants() {
    let seed = Array(
      #"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00",true,null],"long key with text":{"b":"some plain text é"},"c":[]}"#
        .utf8)
    var generator = SplitMix64(seed: 1)
    var accepted = 0
    for _ in 0..<5000 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...3, using: &generator) where !bytes.isEmpty {
        let at = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes.removeSubrange(at...)
        case 2: bytes.remove(at: at)
        default: bytes.insert(seed[Int.random(in: 0..<seed.count, using: &generator)], at: at)
        }
      }
      if let document = try? JSONDocument(bytes, file: "mutant") {
        accepted += 1
        visit(document.root)
      }
    }
    #expect(accepted > 100 && accepted < 4900)
  }

  /// Decodes everything below `value`.
  private func visit(_ value: JSONValue) {
    _ = (value.int, value.string)
    #expect(value.double?.isFinite != false)
    #expect(value.utf8.map { String(validating: $0, as: UTF8.self) != nil } != false)
    for element in value.elements { visit(element) }
    for (key, value) in value.members {
      visit(key)
      visit(value)
    }
  }
}
