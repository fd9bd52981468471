// swift-tools-version: 6.2
import PackageDescription

// Inside the repository the package is taken by path. In your own package you write instead:
//   .package(url: "https://github.com/.../salangane", from: "0.1.0")
let package = Package(
  name: "SemanticSearch",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "salangane", path: "../../..")
  ],
  targets: [
    .executableTarget(
      name: "SemanticSearch",
      dependencies: [.product(name: "Salangane", package: "salangane")])
  ],
  swiftLanguageModes: [.v6]
)
