// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who depends on Salangane gets the benchmark package too.
let package = Package(
  name: "SalanganeBenchmarks",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "salangane", path: ".."),
    // Without its traits: nothing stands between the program and malloc.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.30.0", traits: []),
  ],
  targets: [
    .executableTarget(
      name: "Micro",
      dependencies: [
        .product(name: "Salangane", package: "salangane"),
        .product(name: "SalanganeKernels", package: "salangane"),
        .product(name: "SalanganeTokenizers", package: "salangane"),
        .product(name: "Benchmark", package: "benchmark"),
        .product(name: "BenchmarkPlugin", package: "benchmark"),
      ],
      path: "Benchmarks/Micro")
  ],
  swiftLanguageModes: [.v6]
)
