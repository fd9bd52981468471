import SalanganeFiles

/// Qwen2 and Qwen2.5 (Yang et al., 2024), dense: also DeepSeek-R1-Distill-Qwen.
///
/// Queries, keys and values have a bias. Layers may see a window only; GGUF has no key for that, and no
/// published model uses it.
package struct Qwen2: DecoderArchitecture {
  package static let names = ["qwen2"]

  package static func tensorNames(_ checkpoint: Checkpoint) -> DecoderTensorNames { .llama }

  package static func configuration(
    _ checkpoint: Checkpoint
  ) throws(ModelFileError) -> DecoderConfiguration {
    var configuration = try DecoderConfiguration(checkpoint)
    configuration.biases.queryKeyValue = true
    if checkpoint.format == .safetensors { try configuration.readWindows(checkpoint.hyperparameters) }
    return configuration
  }
}
