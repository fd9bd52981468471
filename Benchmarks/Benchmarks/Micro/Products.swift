@_spi(Benchmarks) import Salangane

/// Products by type and shape: a prompt's rows with matrices of Qwen3-0.6B, one row with a large square one.
func registerProducts() {
  for type in Workload.weightTypes {
    for (columns, depth) in [(1024, 1024), (3072, 1024), (1024, 3072)] {
      registerShare("product \(type) 512x\(columns)x\(depth)") {
        try await Workload.product(type: type, rows: 512, columns: columns, depth: depth)
      }
    }
    registerShare("product \(type) 1x4096x4096") {
      try await Workload.product(type: type, rows: 1, columns: 4096, depth: 4096)
    }
  }
}

/// Attention by depth, of one token and of a prompt's chunk.
func registerAttention() {
  for (rows, depth) in [(1, 256), (1, 1024), (1, 4096), (512, 0), (512, 1024), (512, 4096)] {
    registerShare("attention \(rows) behind \(depth)") {
      try await Workload.attention(rows: rows, depth: depth)
    }
  }
}

/// The choice of experts, and of tokens.
func registerChoices() {
  for grouped in [false, true] {
    registerShare("routing \(grouped ? "8 of 256 in groups" : "8 of 128")") {
      try await Workload.routing(grouped: grouped)
    }
  }
  let samplings: [(String, SamplingOptions)] = [
    ("greedy", .greedy),
    ("top-k 40", SamplingOptions(temperature: 0.8, topK: 40)),
    ("top-p 0.95", SamplingOptions(temperature: 0.8, topP: 0.95)),
    ("min-p 0.05", SamplingOptions(temperature: 0.8, minP: 0.05)),
    ("repetition penalty", SamplingOptions(repetitionPenalty: 1.1)),
  ]
  for (name, options) in samplings {
    registerShare("sampling \(name)") { try await Workload.sampling(name, options) }
  }
}
