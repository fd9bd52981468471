/// The names under which one hyper-parameter is found in the files of both formats.
public struct HyperparameterKey: Hashable, Sendable {
  /// The names in `config.json`, in order of preference; a dot leads into a nested object.
  public var configuration: [String]
  /// The names in GGUF metadata, in order of preference: without the architecture in front of them, except
  /// for those that start with `general.` or `tokenizer.`.
  public var gguf: [String]

  /// Creates a key.
  public init(_ configuration: [String], gguf: [String] = []) {
    self.configuration = configuration
    self.gguf = gguf
  }

  /// Creates a key with one name in each format.
  public init(_ configuration: String, gguf: String? = nil) {
    self.init([configuration], gguf: gguf.map { [$0] } ?? [])
  }

  /// A key that only GGUF has.
  public static func gguf(_ name: String) -> HyperparameterKey { .init([], gguf: [name]) }
}

extension HyperparameterKey: ExpressibleByStringLiteral {
  /// Creates a key that only `config.json` has.
  public init(stringLiteral name: String) { self.init(name) }
}

/// A model's hyper-parameters, out of a `config.json` or out of GGUF metadata.
///
/// In `config.json`, names are looked up in `text_config` first, if there is one, and a `null` counts as
/// absent; a `rope_scaling` that isn't empty stands in place of `rope_parameters`. What a key means for a model is
/// not known here.
public struct Hyperparameters: Sendable {
  /// The file they come from.
  public let file: String
  /// The name of the architecture: `model_type` (or else the first of `architectures`), or
  /// `general.architecture`.
  public let architecture: String
  /// The `model_type` of the nested `text_config`, if there is one.
  public let textArchitecture: String?
  /// The class names in `architectures` of `config.json`; empty for GGUF.
  public let architectures: [String]

  private let source: Source

  private enum Source: Sendable {
    /// The objects to search, in order.
    case configuration([JSONValue])
    case metadata(GGUFMetadata)
  }

  /// A value that was found, and the name it was found under.
  private struct Found {
    var name: String
    var value: Value

    enum Value {
      case json(JSONValue)
      case gguf(GGUFValue)
    }
  }

  /// Reads a `config.json`.
  ///
  /// - Parameter document: The parsed file.
  /// - Throws: `ModelFileError` if it isn't an object that names its architecture.
  public init(configuration document: JSONDocument) throws(ModelFileError) {
    let root = document.root
    guard root.kind == .object else {
      throw ModelFileError(.malformed, file: document.file, expectation: "expected a JSON object")
    }
    let text = root["text_config"].flatMap { $0.kind == .object ? $0 : nil }
    let classes = root["architectures"]?.elements.compactMap(\.string) ?? []
    guard let architecture = root["model_type"]?.string ?? classes.first, !architecture.isEmpty else {
      throw ModelFileError(
        .malformed, file: document.file, subject: "model_type", expectation: "expected a string")
    }
    file = document.file
    self.architecture = architecture
    architectures = classes
    textArchitecture = text?["model_type"]?.string
    source = .configuration([text, root].compactMap { $0 })
  }

  /// Reads GGUF metadata.
  ///
  /// - Parameter metadata: The metadata of the (first) file.
  /// - Throws: `ModelFileError` if it doesn't name its architecture.
  public init(metadata: GGUFMetadata) throws(ModelFileError) {
    guard let architecture = metadata["general.architecture"]?.string, !architecture.isEmpty else {
      throw ModelFileError(
        .malformed, file: metadata.path, subject: "general.architecture", expectation: "expected a string")
    }
    file = metadata.path
    self.architecture = architecture
    architectures = []
    textArchitecture = nil
    source = .metadata(metadata)
  }

  /// True if they come from GGUF.
  public var isGGUF: Bool {
    if case .metadata = source { true } else { false }
  }

  /// True if there is a value for `key`.
  public func contains(_ key: HyperparameterKey) -> Bool { find(key) != nil }

  /// True if the value for `key` is an array.
  public func isArray(_ key: HyperparameterKey) -> Bool {
    switch find(key)?.value {
    case .json(let value): value.kind == .array
    case .gguf(let value): value.type == .array
    case nil: false
    }
  }

  /// An error about the value of `key`, for checks that only the model's architecture can make.
  ///
  /// - Parameters:
  ///   - key: The hyper-parameter at fault.
  ///   - expectation: What was expected, and what was found.
  ///   - kind: The kind of failure.
  public func failure(
    _ key: HyperparameterKey, _ expectation: String, kind: ModelFileError.Kind = .malformed
  ) -> ModelFileError {
    ModelFileError(kind, file: file, subject: name(of: key), expectation: expectation)
  }

  /// The name of `key` in this file: the one found, or else the preferred one.
  public func name(of key: HyperparameterKey) -> String {
    if let found = find(key) { return found.name }
    switch source {
    case .configuration: return key.configuration.first ?? key.gguf.first ?? ""
    case .metadata: return key.gguf.first.map(fullName) ?? key.configuration.first ?? ""
    }
  }

  // MARK: Looking up

  private func find(_ key: HyperparameterKey) -> Found? {
    switch source {
    case .configuration(let scopes):
      for name in key.configuration {
        for scope in scopes {
          if let value = Self.value(name, in: scope) { return Found(name: name, value: .json(value)) }
        }
      }
    case .metadata(let metadata):
      for name in key.gguf.map(fullName) {
        if let value = metadata[name] { return Found(name: name, value: .gguf(value)) }
      }
    }
    return nil
  }

  private static func value(_ name: String, in object: JSONValue) -> JSONValue? {
    if name.hasPrefix("rope_parameters."), (object["rope_scaling"]?.members.count ?? 0) > 0 { return nil }
    var value = object
    for part in name.split(separator: ".") {
      guard let next = value[String(part)] else { return nil }
      value = next
    }
    return value.isNull ? nil : value
  }

  private func fullName(_ name: String) -> String {
    name.hasPrefix("general.") || name.hasPrefix("tokenizer.") ? name : "\(architecture).\(name)"
  }
}

extension Hyperparameters {
  // MARK: Integers

  /// The integer for `key`, or nil if there is none.
  ///
  /// - Parameters:
  ///   - key: The hyper-parameter.
  ///   - range: What is accepted.
  /// - Throws: `ModelFileError` for a value that is no integer, or out of range.
  public func optionalInt(
    _ key: HyperparameterKey, in range: ClosedRange<Int> = 0...Int.max
  ) throws(ModelFileError) -> Int? {
    try scalar(key, "an integer \(Self.words(range))", { $0.int }, { $0.int }, where: range.contains)
  }

  /// The integer for `key`.
  ///
  /// - Throws: `ModelFileError` if there is none, or one out of range.
  public func int(
    _ key: HyperparameterKey, in range: ClosedRange<Int> = 0...Int.max
  ) throws(ModelFileError) -> Int {
    try required(key, "an integer \(Self.words(range))", optionalInt(key, in: range))
  }

  /// The integer for `key`, or `value` if there is none.
  public func int(
    _ key: HyperparameterKey, in range: ClosedRange<Int> = 0...Int.max, default value: Int
  ) throws(ModelFileError) -> Int {
    try optionalInt(key, in: range) ?? value
  }

  /// The integers for `key`, or nil; a single integer counts as an array of one.
  public func optionalInts(
    _ key: HyperparameterKey, in range: ClosedRange<Int> = 0...Int.max
  ) throws(ModelFileError) -> [Int]? {
    try array(
      key, "integers \(Self.words(range))", { $0.int }, { $0.ints }, { $0.int }, where: range.contains)
  }

  /// The integers for `key`; a single integer counts as an array of one.
  public func ints(
    _ key: HyperparameterKey, in range: ClosedRange<Int> = 0...Int.max
  ) throws(ModelFileError) -> [Int] {
    try required(key, "integers \(Self.words(range))", optionalInts(key, in: range))
  }

  // MARK: Floats

  /// The number for `key`, or nil if there is none; always finite.
  public func optionalFloat(
    _ key: HyperparameterKey, in range: ClosedRange<Double> = Self.finite
  ) throws(ModelFileError) -> Double? {
    try scalar(key, "a number \(Self.words(range))", { $0.double }, { $0.double }, where: range.contains)
  }

  /// The number for `key`; always finite.
  ///
  /// - Throws: `ModelFileError` if there is none, or one out of range.
  public func float(
    _ key: HyperparameterKey, in range: ClosedRange<Double> = Self.finite
  ) throws(ModelFileError) -> Double {
    try required(key, "a number \(Self.words(range))", optionalFloat(key, in: range))
  }

  /// The number for `key`, or `value` if there is none; always finite.
  public func float(
    _ key: HyperparameterKey, in range: ClosedRange<Double> = Self.finite, default value: Double
  ) throws(ModelFileError) -> Double {
    try optionalFloat(key, in: range) ?? value
  }

  /// The numbers for `key`, or nil; a single number counts as an array of one.
  public func optionalFloats(
    _ key: HyperparameterKey, in range: ClosedRange<Double> = Self.finite
  ) throws(ModelFileError) -> [Double]? {
    try array(
      key, "numbers \(Self.words(range))", { $0.double }, { $0.doubles }, { $0.double }, where: range.contains
    )
  }

  /// All finite numbers.
  public static var finite: ClosedRange<Double> {
    -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
  }

  // MARK: Booleans and strings

  /// The boolean for `key`, or nil if there is none.
  public func optionalBool(_ key: HyperparameterKey) throws(ModelFileError) -> Bool? {
    try scalar(key, "true or false", { $0.bool }, { $0.bool }, where: { _ in true })
  }

  /// The boolean for `key`, or `value` if there is none.
  public func bool(_ key: HyperparameterKey, default value: Bool) throws(ModelFileError) -> Bool {
    try optionalBool(key) ?? value
  }

  /// The booleans for `key`, or nil; a single boolean counts as an array of one.
  public func optionalBools(_ key: HyperparameterKey) throws(ModelFileError) -> [Bool]? {
    try array(key, "booleans", { $0.bool }, { $0.bools }, { $0.bool }, where: { _ in true })
  }

  /// The string for `key`, or nil if there is none.
  public func optionalString(_ key: HyperparameterKey) throws(ModelFileError) -> String? {
    try scalar(key, "a string", { $0.string }, { $0.string }, where: { _ in true })
  }

  /// The string for `key`.
  ///
  /// - Throws: `ModelFileError` if there is none.
  public func string(_ key: HyperparameterKey) throws(ModelFileError) -> String {
    try required(key, "a string", optionalString(key))
  }

  /// The strings for `key`, or nil; a single string counts as an array of one.
  public func optionalStrings(_ key: HyperparameterKey) throws(ModelFileError) -> [String]? {
    try array(key, "strings", { $0.string }, { $0.strings }, { $0.string }, where: { _ in true })
  }

  // MARK: Conversions

  private func scalar<Value>(
    _ key: HyperparameterKey, _ expected: String, _ json: (JSONValue) -> Value?,
    _ gguf: (GGUFValue) -> Value?,
    where isAccepted: (Value) -> Bool
  ) throws(ModelFileError) -> Value? {
    guard let found = find(key) else { return nil }
    let value: Value?
    switch found.value {
    case .json(let found): value = json(found)
    case .gguf(let found): value = gguf(found)
    }
    guard let value, isAccepted(value) else {
      throw failure(key, "expected \(expected), found \(Self.words(found.value))")
    }
    return value
  }

  private func array<Value>(
    _ key: HyperparameterKey, _ expected: String, _ json: (JSONValue) -> Value?,
    _ gguf: (GGUFArray) -> [Value]?, _ single: (GGUFValue) -> Value?, where isAccepted: (Value) -> Bool
  ) throws(ModelFileError) -> [Value]? {
    guard let found = find(key) else { return nil }
    var values: [Value]?
    switch found.value {
    case .json(let found) where found.kind == .array:
      let converted = found.elements.map(json)
      values = converted.allSatisfy { $0 != nil } ? converted.compactMap { $0 } : nil
    case .json(let found):
      values = json(found).map { [$0] }
    case .gguf(.array(let array)):
      values = gguf(array)
    case .gguf(let found):
      values = single(found).map { [$0] }
    }
    guard let values, values.allSatisfy(isAccepted) else {
      throw failure(key, "expected an array of \(expected), found \(Self.words(found.value))")
    }
    return values
  }

  private func required<Value>(
    _ key: HyperparameterKey, _ expected: String, _ value: Value?
  ) throws(ModelFileError) -> Value {
    guard let value else { throw failure(key, "expected \(expected), found nothing") }
    return value
  }

  private static func words(_ range: ClosedRange<Int>) -> String {
    range.upperBound == .max
      ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
  }

  private static func words(_ range: ClosedRange<Double>) -> String {
    range == finite ? "that is finite" : "from \(range.lowerBound) to \(range.upperBound)"
  }

  private static func words(_ value: Found.Value) -> String {
    switch value {
    case .json(let value):
      switch value.kind {
      case .null: "null"
      case .boolean: value.bool == true ? "true" : "false"
      case .integer, .number: value.int.map(String.init) ?? value.double.map { "\($0)" } ?? "a number"
      case .string: "\"\(value.string ?? "")\""
      case .array: "an array"
      case .object: "an object"
      }
    case .gguf(let value):
      switch value {
      case .bool(let value): "\(value)"
      case .string(let value): "\"\(value)\""
      case .array(let array): "an array of \(array.count) values of type \(array.elementType)"
      case .float32, .float64: "\(value.type) \(value.double ?? 0)"
      case .uint64(let value): "\(value)"
      default: "\(value.int ?? 0)"
      }
    }
  }
}
