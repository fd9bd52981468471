/// Writes messages of Protocol Buffers for tests, malformed ones too.
struct ModelProtoBuilder {
  var bytes: [UInt8] = []

  static func varint(_ value: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    var value = value
    while value >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    return bytes + [UInt8(value)]
  }

  mutating func add(_ field: Int, varint value: UInt64) {
    bytes += Self.varint(UInt64(field << 3)) + Self.varint(value)
  }

  mutating func add(_ field: Int, bytes content: [UInt8]) {
    bytes += Self.varint(UInt64(field << 3 | 2)) + Self.varint(UInt64(content.count)) + content
  }

  mutating func add(_ field: Int, float value: Float) {
    bytes += Self.varint(UInt64(field << 3 | 5))
    for shift in stride(from: UInt32(0), to: 32, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
    }
  }

  mutating func add(_ field: Int, _ build: (inout ModelProtoBuilder) -> Void) {
    var message = ModelProtoBuilder()
    build(&message)
    add(field, bytes: message.bytes)
  }

  mutating func addPiece(_ piece: String, score: Float = 0, type: UInt64 = 1) {
    add(1) { message in
      message.add(1, bytes: Array(piece.utf8))
      message.add(2, float: score)
      message.add(3, varint: type)
    }
  }

  /// A small model: `<unk>`, the space mark, `a`, `b` and `ab`.
  static func model(
    kind: UInt64 = 2, pieces: (inout ModelProtoBuilder) -> Void = { _ in },
    trainer: (inout ModelProtoBuilder) -> Void = { _ in },
    normalizer: (inout ModelProtoBuilder) -> Void = { _ in }
  ) -> [UInt8] {
    var model = ModelProtoBuilder()
    model.addPiece("<unk>", type: 2)
    for (index, piece) in ["\u{2581}", "a", "b", "ab"].enumerated() {
      model.addPiece(piece, score: -Float(index) - 1)
    }
    pieces(&model)
    model.add(2) { message in
      message.add(3, varint: kind)
      trainer(&message)
    }
    model.add(3, normalizer)
    return model.bytes
  }

  /// A compiled map of characters from its units and replacements.
  static func characterMap(_ units: [UInt32], _ replacements: [UInt8]) -> [UInt8] {
    ([UInt32(units.count * 4)] + units).flatMap { unit in
      stride(from: UInt32(0), to: 32, by: 8).map { UInt8(truncatingIfNeeded: unit >> $0) }
    } + replacements
  }
}
