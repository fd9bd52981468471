// swift-tools-version: 6.2
import PackageDescription

// Inside the repository Salangane is taken by path. A package of your own names the repository's URL and a version
// instead, as the README shows.
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
