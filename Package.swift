// swift-tools-version: 6.2
import PackageDescription

// Each instruction set is a target of its own, compiled with its own flags, and the table in
// SalanganeKernels picks one at run time. Tools version 6.2 accepts these flags in a package that
// others depend on by version. The kernel targets are always optimised: their unoptimised form
// would be some hundred times slower, and would emit generic code that must not exist there.
// They prefetch through the `Builtin` module, since Swift has no public form of it.
let kernelSettings: [SwiftSetting] = [
  .unsafeFlags(["-O", "-wmo", "-num-threads", "2", "-disable-batch-mode", "-disable-cmo"]),
  .enableExperimentalFeature("BuiltinModule"),
]

#if arch(x86_64)
  let instructionSetTargets: [Target] = [
    .target(
      name: "SalanganeKernelsAVX2", dependencies: ["SalanganeKernelOperands"], path: "Sources/KernelsAVX2",
      swiftSettings: kernelSettings + [
        .unsafeFlags(["-Xcc", "-mavx2", "-Xcc", "-mfma", "-Xcc", "-mf16c"])
      ]),
    .target(
      name: "SalanganeKernelsAVX512", dependencies: ["SalanganeKernelOperands"],
      path: "Sources/KernelsAVX512",
      swiftSettings: kernelSettings + [
        .unsafeFlags([
          "-Xcc", "-mavx512f", "-Xcc", "-mavx512bw", "-Xcc", "-mavx512vl", "-Xcc", "-mavx512dq",
          "-Xcc", "-mavx512vnni", "-Xcc", "-mavx2", "-Xcc", "-mfma", "-Xcc", "-mf16c",
          "-Xcc", "-mprefer-vector-width=512",
        ])
      ]),
  ]
#else
  let instructionSetTargets: [Target] = []
#endif

// With SALANGANE_FUZZ in the environment (Scripts/fuzz), what reads files is compiled for libFuzzer and
// AddressSanitizer, and there is an executable for it. Nobody else's build has any of this.
let isFuzzing = Context.environment["SALANGANE_FUZZ"] != nil
let readerSettings: [SwiftSetting] =
  isFuzzing ? [.unsafeFlags(["-sanitize=address,fuzzer"])] : []
let fuzzTargets: [Target] =
  isFuzzing
  ? [
    .executableTarget(
      name: "salangane-fuzz", dependencies: ["SalanganeHostileInput"], path: "Tests/Fuzz",
      swiftSettings: readerSettings,
      linkerSettings: [.unsafeFlags(["-sanitize=address,fuzzer", "-use-ld=lld"])])
  ] : []

// With SALANGANE_SANITIZER in the environment (Scripts/test), the command isn't optimised: Swift 6.3's compiler ends
// with a crash when it optimises its asynchronous functions for AddressSanitizer.
let commandSettings: [SwiftSetting] =
  Context.environment["SALANGANE_SANITIZER"] != nil ? [.unsafeFlags(["-Onone"])] : []

let package = Package(
  name: "Salangane",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "Salangane", targets: ["Salangane"]),
    .library(name: "SalanganeFiles", targets: ["SalanganeFiles"]),
    .library(name: "SalanganeKernels", targets: ["SalanganeKernels"]),
    .library(name: "SalanganeTokenizers", targets: ["SalanganeTokenizers"]),
    .executable(name: "salangane", targets: ["salangane-cli"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0")
  ],
  targets: [
    .systemLibrary(
      name: "COpenBLAS",
      providers: [.apt(["libopenblas-dev", "liblapacke-dev"]), .brew(["openblas"])]),
    .target(name: "SalanganeFiles", path: "Sources/ModelFiles", swiftSettings: readerSettings),
    .target(
      name: "SalanganeQuantization", dependencies: ["SalanganeFiles"], path: "Sources/Quantization"),
    .target(name: "SalanganeKernelOperands", path: "Sources/KernelOperands"),
    .target(
      name: "SalanganeKernels",
      dependencies: ["SalanganeKernelOperands"] + instructionSetTargets.map { .byName(name: $0.name) },
      path: "Sources/Kernels", swiftSettings: kernelSettings),
    .target(
      name: "SalanganeTensors",
      dependencies: ["COpenBLAS", "SalanganeFiles", "SalanganeKernels", "SalanganeQuantization"],
      path: "Sources/Tensors"),
    .target(
      name: "SalanganeTokenizers", dependencies: ["SalanganeFiles"], path: "Sources/Tokenizers",
      swiftSettings: readerSettings),
    .target(
      name: "SalanganeModelGraph",
      dependencies: [
        "SalanganeFiles", "SalanganeKernels", "SalanganeQuantization", "SalanganeTensors",
      ],
      path: "Sources/ModelGraph", swiftSettings: readerSettings),
    .target(
      name: "Salangane",
      dependencies: [
        "SalanganeFiles", "SalanganeKernels", "SalanganeModelGraph", "SalanganeQuantization",
        "SalanganeTensors", "SalanganeTokenizers",
      ], swiftSettings: readerSettings),
    .executableTarget(
      name: "salangane-cli",
      dependencies: [
        "Salangane", "SalanganeFiles", "SalanganeKernels", "SalanganeQuantization", "SalanganeTensors",
        "SalanganeTokenizers",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: commandSettings),
    .target(
      name: "SalanganeTestSupport", dependencies: ["SalanganeFiles", "SalanganeKernels"],
      path: "Tests/Support"),
    .target(
      name: "SalanganeHostileInput", dependencies: ["Salangane", "SalanganeFiles", "SalanganeTokenizers"],
      path: "Tests/HostileInput", swiftSettings: readerSettings),
    .target(
      name: "SalanganeStress", dependencies: ["Salangane", "SalanganeFiles", "SalanganeTestSupport"],
      path: "Tests/Stress"),
    .executableTarget(
      name: "salangane-stress", dependencies: ["SalanganeStress", "SalanganeTestSupport"],
      path: "Tests/StressCommand"),
    .testTarget(
      name: "SalanganeFilesTests", dependencies: ["SalanganeFiles", "SalanganeTestSupport"],
      path: "Tests/ModelFiles"),
    .testTarget(
      name: "SalanganeQuantizationTests",
      dependencies: [
        "SalanganeKernels", "SalanganeQuantization", "SalanganeTensors", "SalanganeTestSupport",
      ],
      path: "Tests/Quantization"),
    .testTarget(
      name: "SalanganeKernelsTests", dependencies: ["SalanganeKernels", "SalanganeTestSupport"],
      path: "Tests/Kernels"),
    .testTarget(
      name: "SalanganeTensorsTests",
      dependencies: ["SalanganeFiles", "SalanganeTensors", "SalanganeTestSupport"],
      path: "Tests/Tensors"),
    .testTarget(
      name: "SalanganeTests",
      dependencies: [
        "Salangane", "SalanganeFiles", "SalanganeKernels", "SalanganeModelGraph", "SalanganeQuantization",
        "SalanganeStress", "SalanganeTensors", "SalanganeTestSupport", "SalanganeTokenizers",
      ],
      path: "Tests/Salangane"),
    .testTarget(
      name: "SalanganeModelGraphTests",
      dependencies: [
        "SalanganeFiles", "SalanganeKernels", "SalanganeModelGraph", "SalanganeTensors",
        "SalanganeTestSupport",
      ],
      path: "Tests/ModelGraph"),
    .testTarget(
      name: "SalanganeTokenizersTests",
      dependencies: ["SalanganeTokenizers", "SalanganeTestSupport"],
      path: "Tests/Tokenizers"),
    .testTarget(
      name: "SalanganeCommandTests",
      dependencies: [
        "salangane-cli", "Salangane", "SalanganeFiles", "SalanganeKernels", "SalanganeTestSupport",
        "SalanganeTokenizers",
      ],
      path: "Tests/Command"),
    .testTarget(
      name: "SalanganeHostileInputTests",
      dependencies: ["SalanganeFiles", "SalanganeHostileInput", "SalanganeTestSupport"],
      path: "Tests/HostileInputTests"),
  ] + instructionSetTargets + fuzzTargets,
  swiftLanguageModes: [.v6]
)
