import SalanganeFiles
import SalanganeModelGraph
import SalanganeTokenizers

extension Checkpoint {
  /// Checks what an architecture of ours says about itself: hyper-parameters in range, special tokens in the
  /// vocabulary.
  ///
  /// Nothing is expected of other architectures, of GGUF files without a token table (vocabularies, adapters),
  /// nor of a tokenizer that isn't there.
  ///
  /// - Throws: `ModelFileError` of the kind `malformed`, naming the key and what was expected.
  package func validateContents() throws(ModelFileError) {
    guard ArchitectureRegistry.contains(architecture) else { return }
    if format == .gguf && self["token_embd.weight"] == nil { return }
    do throws(ModelFileError) {
      try ArchitectureRegistry.checkHyperparameters(of: self)
    } catch {
      // A valid model that we can't run can still be looked at.
      if error.kind == .malformed { throw error }
    }
    do throws(ModelFileError) {
      _ = try TokenizerLoader.load(self)
    } catch {
      // Nor does looking at a model need a tokenizer of ours.
      if error.kind == .malformed { throw error }
    }
  }
}
