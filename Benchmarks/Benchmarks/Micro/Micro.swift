import Benchmark

/// All benchmarks of this package: `swift package -c release benchmark`.
let benchmarks: @Sendable () -> Void = {
  registerProducts()
  registerRowKernels()
  registerAttention()
  registerChoices()
  registerTokenizers()
  registerLoading()
}
