import ArgumentParser
import Salangane

/// What is made of each text: how it is split, prefixed, pooled and scaled.
struct VectorOptions: ParsableArguments {
  @Option(help: ArgumentHelp("How hidden states become one vector: mean, cls or last.", valueName: "name"))
  var pooling: Pooling?

  @Option(help: ArgumentHelp("Keep only this many leading features of each vector.", valueName: "n"))
  var dimensions: Int?

  @Option(help: ArgumentHelp("Cut texts off after this many tokens, special ones included.", valueName: "n"))
  var maxLength: Int?

  @Flag(help: "Don't scale vectors to length 1, whatever the model's files say.")
  var noNormalize = false

  @Flag(help: "Take the names of special and added tokens in texts as plain text.")
  var literal = false

  /// The options in the library's terms.
  var embeddingOptions: EmbeddingOptions {
    EmbeddingOptions(
      pooling: pooling, normalizes: noNormalize ? false : nil, dimensions: dimensions,
      maximumLength: maxLength, recognizesAddedTokens: !literal)
  }
}

extension Pooling: ExpressibleByArgument {}
