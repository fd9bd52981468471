/// A number for each code point, -1 where none was set: two lookups, in pages of 128.
struct ScalarTable: Sendable {
  private var pages: [Int32]
  private var values: [Int32]

  private static let shift: UInt32 = 7
  private static let pageSize = 1 << 7

  /// Creates a table in which every code point has -1.
  init() {
    pages = Array(repeating: 0, count: 0x110000 >> 7)
    values = Array(repeating: -1, count: Self.pageSize)
  }

  /// The number of a code point below 0x110000.
  subscript(_ scalar: UInt32) -> Int32 {
    @inline(__always) get {
      let page = Int(pages[Int(scalar >> Self.shift)])
      return values[page &* Self.pageSize &+ Int(scalar & 0x7F)]
    }
    set {
      let index = Int(scalar >> Self.shift)
      if pages[index] == 0 {
        pages[index] = Int32(values.count / Self.pageSize)
        values.append(contentsOf: repeatElement(-1, count: Self.pageSize))
      }
      values[Int(pages[index]) * Self.pageSize + Int(scalar & 0x7F)] = newValue
    }
  }
}
