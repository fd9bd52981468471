import ArgumentParser

@main
struct SalanganeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "salangane")
}
