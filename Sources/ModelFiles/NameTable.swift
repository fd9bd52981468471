/// Positions by name, where names are told apart by their bytes.
///
/// Swift's strings are equal if they are canonically equivalent; names in files aren't.
struct NameTable: Sendable {
  private var positions: [Name: Int] = [:]

  private struct Name: Hashable, Sendable {
    let text: String

    static func == (left: Name, right: Name) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
      var text = text
      text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
  }

  init(minimumCapacity: Int = 0) { positions.reserveCapacity(minimumCapacity) }

  /// Adds a name, or returns false if it is there already.
  mutating func insert(_ name: String, _ position: Int) -> Bool {
    if positions[Name(text: name)] != nil { return false }
    positions[Name(text: name)] = position
    return true
  }

  /// The position of `name`.
  subscript(_ name: String) -> Int? { positions[Name(text: name)] }
}
