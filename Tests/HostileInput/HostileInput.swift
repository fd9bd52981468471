import Salangane
import SalanganeFiles
import SalanganeTokenizers

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A kind of input that strangers make, and what the library does with it: all that happens before weights are
/// multiplied.
///
/// Mutants in the tests and libFuzzer both come in here. What is refused is refused with an error of ours; anything
/// else than that, or than a result that makes sense, ends the process.
package enum HostileInput: String, CaseIterable, Sendable {
  case gguf
  case safetensors
  /// `config.json`
  case configuration
  /// `model.safetensors.index.json`
  case index
  /// `tokenizer.json`
  case tokenizerJSON = "tokenizer-json"
  /// `tokenizer.model`
  case sentencePiece = "tokenizer-model"
  /// A text for WordPiece.
  case wordPieceText = "wordpiece-text"
  /// A text for byte-level BPE.
  case bytePairText = "bpe-text"
  /// A file of keys and values, as `PromptCache` saves it.
  case promptCache = "prompt-cache"

  /// Whether it is a file that the input takes the place of, rather than a text.
  package var isFile: Bool { self != .wordPieceText && self != .bytePairText }
}

/// Tries inputs of one kind, in a directory of its own.
package final class HostileInputRunner {
  /// What became of an input.
  package enum Outcome: Equatable, Sendable {
    case accepted
    /// Refused, with the line that a user would see.
    case refused(String)
  }

  private let kind: HostileInput
  private let directory: String
  private let tokenizer: (any TextTokenizer)?
  private let model: LanguageModel?
  private var count = 0

  /// Creates a runner.
  ///
  /// - Parameters:
  ///   - kind: The kind of input.
  ///   - directory: An empty directory that it may fill; one in memory is quickest.
  ///   - goldens: The directory `Tests/Goldens`.
  /// - Throws: `ModelFileError` for a tokenizer that can't be read, or a directory that can't be written.
  package init(_ kind: HostileInput, directory: String, goldens: String) async throws {
    self.kind = kind
    self.directory = directory
    switch kind {
    case .wordPieceText: tokenizer = try TokenizerLoader.load(path: goldens + "/tokenizers/bert-uncased")
    case .bytePairText: tokenizer = try TokenizerLoader.load(path: goldens + "/tokenizers/qwen2")
    default: tokenizer = nil
    }
    model = kind == .promptCache ? try await Self.cachedModel(goldens) : nil
    if kind == .safetensors { try write(Array(#"{"model_type":"none"}"#.utf8), to: "config.json") }
    if kind == .configuration || kind == .index {
      try write(FileBytes.contents(of: goldens + "/decoders/qwen3_moe/model.safetensors"), to: Self.weights)
    }
    if kind == .index {
      try write(FileBytes.contents(of: goldens + "/decoders/qwen3_moe/config.json"), to: "config.json")
    }
  }

  private static let weights = "weights.safetensors"

  private static func cachedModel(_ goldens: String) async throws -> LanguageModel {
    try await LanguageModel(
      contentsOf: URL(fileURLWithPath: goldens + "/rerankers/qwen3.gguf"), options: .init(threads: 1))
  }

  /// A valid file of a prompt cache, with two blocks.
  ///
  /// - Parameters:
  ///   - path: Where it is written.
  ///   - goldens: The directory `Tests/Goldens`.
  package static func writePromptCache(to path: String, goldens: String) async throws {
    let model = try await cachedModel(goldens)
    let cache = PromptCache(for: model, maximumBytes: 1 << 24)
    let session = try model.makeSession(promptCache: cache)
    let options = GenerationOptions(maximumTokens: 1)
    for try await _ in session.generate(tokens: (0..<300).map { Int32($0 % 250) }, options: options) {}
    try cache.save(to: URL(fileURLWithPath: path))
  }

  private func path(_ name: String) -> String { directory + "/" + name }

  private func write(_ bytes: [UInt8], to name: String) throws {
    // Another file in its place: one that is mapped must not be cut short.
    unlink(path(name))
    guard let stream = fopen(path(name), "wb") else {
      throw ModelFileError(.unreadable, file: path(name), expectation: "expected a file that can be written")
    }
    defer { fclose(stream) }
    guard fwrite(bytes, 1, bytes.count, stream) == bytes.count else {
      throw ModelFileError(.unreadable, file: path(name), expectation: "expected space on the disk")
    }
  }

  /// Tries one input.
  ///
  /// - Throws: What isn't an error of ours about this input.
  package func run(_ bytes: [UInt8]) throws -> Outcome {
    count += 1
    do {
      switch kind {
      case .gguf:
        try write(bytes, to: "model.gguf")
        try open(path("model.gguf"))
      case .safetensors:
        try write(bytes, to: "model.safetensors")
        try open(path("model.safetensors"))
      case .configuration:
        try write(bytes, to: "config.json")
        try open(path(Self.weights))
      case .index:
        try write(bytes, to: "model.safetensors.index.json")
        try open(directory)
      case .tokenizerJSON:
        try write(bytes, to: "tokenizer.json")
        try use(TokenizerLoader.load(path: directory))
      case .sentencePiece:
        try write(bytes, to: "tokenizer.model")
        try use(TokenizerLoader.load(path: directory))
      case .wordPieceText, .bytePairText:
        try encode(String(decoding: bytes, as: UTF8.self))
      case .promptCache:
        try write(bytes, to: "prompt.cache")
        if let model {
          _ = try PromptCache(
            contentsOf: URL(fileURLWithPath: path("prompt.cache")), for: model, maximumBytes: 1 << 24)
        }
      }
      return .accepted
    } catch let error as ModelFileError {
      return .refused(line(error))
    } catch let error as TokenizerError {
      return .refused(error.description)
    } catch let error as EmbeddingError {
      return .refused("\(error)")
    }
  }

  /// Opens a model and looks at all of it: tensors, metadata, hyper-parameters, tokenizer and weights.
  private func open(_ path: String) throws {
    let checkpoint = try Checkpoint(path: path, options: .init(mapped: count % 2 == 0))
    var sum = 0
    for tensor in checkpoint.tensors {
      tensor.withUnsafeBytes { bytes in for byte in bytes { sum &+= Int(byte) } }
    }
    for (key, value) in checkpoint.gguf?.metadata.values ?? [] {
      sum &+= key.utf8.count &+ (value.int ?? 0) &+ (value.string?.utf8.count ?? 0)
      if let array = value.array { sum &+= Self.walk(array) }
    }
    withExtendedLifetime(sum) {}
    // Each of these is tried whatever becomes of the others.
    if let metadata = checkpoint.gguf?.metadata {
      do {
        try use(TokenizerLoader.load(metadata))
      } catch let error as ModelFileError {
        try pass(error)
      }
    }
    do {
      try checkpoint.validateContents()
    } catch {
      try pass(error)
    }
    do {
      // Reads all that is small and finds the rest, but computes nothing.
      _ = try ModelMemory(checkpoint, ModelOptions())
    } catch let error as ModelFileError {
      try pass(error)
    }
  }

  /// Throws an error if it is about the input: weights may well be those of a model that we don't have.
  private func pass(_ error: ModelFileError) throws {
    guard kind == .gguf || kind == .safetensors else { throw error }
    _ = line(error)
  }

  /// The line that a user sees, checked to be one.
  private func line(_ error: ModelFileError) -> String {
    let line = error.description
    guard line.utf8.count < 4000, !line.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
      fatalError("a message that isn't one line: \(line)")
    }
    return line
  }

  private static func walk(_ array: GGUFArray) -> Int {
    var sum = (array.ints?.count ?? 0) + (array.doubles?.count ?? 0) + (array.bools?.count ?? 0)
    array.forEachUTF8 { sum &+= $0.count }
    return (array.arrays ?? []).reduce(sum) { $0 &+ walk($1) }
  }

  private static let text =
    "The bird's  way,\t[SEP] <|end|> 1234\n\n  éé e\u{301}\u{FDFA} 中文 鳥\u{1F426} abcd ab aaaa"

  private func use(_ tokenizer: any TextTokenizer) throws {
    do {
      let ids = try tokenizer.encode(Self.text).ids
      guard ids.allSatisfy({ $0 >= 0 && $0 < tokenizer.vocabularySize }) else {
        fatalError("an id that isn't in the vocabulary")
      }
      _ = try tokenizer.decode(ids)
    } catch {}
  }

  /// Encodes a text in several ways, and decodes it.
  private func encode(_ text: String) throws {
    guard let tokenizer else { return }
    let options = [
      EncodingOptions(), EncodingOptions(addsSpecialTokens: false, recognizesAddedTokens: false),
      EncodingOptions(maximumLength: 5),
    ]
    for options in options {
      let found = try tokenizer.encode(text, options: options)
      guard found.ids.allSatisfy({ $0 >= 0 && $0 < tokenizer.vocabularySize }),
        options.maximumLength.map({ found.ids.count <= $0 }) ?? true
      else { fatalError("ids that aren't in the vocabulary, or too many") }
      _ = try tokenizer.decode(found.ids)
    }
  }
}
