import SalanganeKernels
import SalanganeTestSupport
import Testing

/// The products with packed quantised weights, of every form on every instruction set that this CPU has.
@Suite struct QuantizedKernelTests {
  /// Rows that a tile may have.
  static let tileRows = KernelTable.packedRows

  /// Whether products and sums are rounded together.
  static func isFused(_ set: InstructionSet) -> Bool {
    #if arch(x86_64)
      set != .portable
    #else
      true
    #endif
  }

  /// Runs `vector` on rows of a fixture; `[rows, 16 * panels]`.
  static func vector(
    _ fixture: QuantizedFixture, _ table: KernelTable, rows: Range<Int>, panels: Int, step: Int? = nil,
    fromInitial: Bool
  ) -> [Float] {
    let kernels = table.quantized(fixture.format)
    let activations = PackedActivations(
      fixture, rows: rows, step: step ?? rows.count, bias: kernels.bias, offset: table.sumOffset)
    return output(fixture, rows: rows, panels: panels) { values, stride in
      fixture.initial.withUnsafeBufferPointer { initial in
        kernels.vector(
          rows.count, panels, fixture.groups, fixture.packed, fixture.panelStride, activations.operand(),
          ProductOutput(
            values: values, rowStride: stride,
            initial: fromInitial ? initial.baseAddress! + rows.lowerBound * 16 * fixture.panels : nil,
            initialRowStride: 16 * fixture.panels))
      }
    }
  }

  /// Unpacks panels and runs `tile`, with some groups at a time; `[rows, 16 * panels]`.
  static func tile(
    _ fixture: QuantizedFixture, _ table: KernelTable, rows: Range<Int>, panels: Int,
    groupsPerPass: Int? = nil, fromInitial: Bool
  ) -> [Float] {
    let kernels = table.quantized(fixture.format)
    let activations = PackedActivations(
      fixture, rows: rows, step: tileRows, bias: kernels.bias, offset: table.sumOffset)
    let shape = fixture.shape
    let halves = shape.hasHalves ? 2 : 1
    let pass = groupsPerPass ?? fixture.groups
    let codes = UnsafeMutableRawPointer.allocate(byteCount: panels * pass * 512, alignment: 64)
    let scales = UnsafeMutablePointer<Float>.allocate(capacity: panels * pass * 16 * halves)
    let minimums = UnsafeMutablePointer<Float>.allocate(capacity: panels * pass * 16 * halves)
    defer {
      codes.deallocate()
      scales.deallocate()
      minimums.deallocate()
    }
    return output(fixture, rows: rows, panels: panels) { values, stride in
      fixture.initial.withUnsafeBufferPointer { initial in
        for first in Swift.stride(from: 0, to: fixture.groups, by: pass) {
          for panel in 0..<panels {
            fixture.packed.withUnsafeBytes { packed in
              kernels.unpack(
                pass,
                packed.baseAddress!
                  + (panel * fixture.panelStride + first / shape.groupsPerRecord * shape.recordBytes),
                UnpackedTile(
                  codes: codes + panel * pass * 512, scales: scales + panel * pass * 16 * halves,
                  minimums: minimums + panel * pass * 16 * halves))
            }
          }
          var out = ProductOutput(values: values, rowStride: stride)
          if first > 0 {
            out.initial = UnsafePointer(values)
            out.initialRowStride = stride
          } else if fromInitial {
            out.initial = initial.baseAddress! + rows.lowerBound * 16 * fixture.panels
            out.initialRowStride = 16 * fixture.panels
          }
          kernels.tile(
            rows.count, panels, pass, UnpackedTile(codes: codes, scales: scales, minimums: minimums),
            activations.operand(from: first), out)
        }
      }
    }
  }

  /// What a body writes to memory of some rows, which has room beside the panels and below the rows.
  private static func output(
    _ fixture: QuantizedFixture, rows: Range<Int>, panels: Int,
    _ body: (UnsafeMutablePointer<Float>, Int) -> Void
  ) -> [Float] {
    let stride = 16 * panels + 7
    var values = [Float](repeating: 12345, count: (rows.count + 1) * stride)
    values.withUnsafeMutableBufferPointer { body($0.baseAddress!, stride) }
    for index in values.indices where index / stride == rows.count || index % stride >= 16 * panels {
      #expect(values[index] == 12345, "written beyond the output")
    }
    return (0..<rows.count).flatMap { values[$0 * stride..<$0 * stride + 16 * panels] }
  }

  /// The bits of the elements of some rows and panels.
  private func bits(
    _ elements: [QuantizedFixture.Element], _ fixture: QuantizedFixture, rows: Range<Int>, panels: Int
  ) -> [UInt32] {
    rows.flatMap { row in
      (0..<16 * panels).map { elements[row * 16 * fixture.panels + $0].ordered.bitPattern }
    }
  }

  /// Exact integers, and floats in the documented order: no bit differs, whichever kernel and however many rows,
  /// panels and passes.
  @Test(arguments: InstructionSet.available, QuantizedFormat.allCases)
  func sumsAreInTheDocumentedOrder(set: InstructionSet, format: QuantizedFormat) throws {
    let table = try KernelTable.table(for: set)
    #expect(table.quantized(format).format == format)
    let fixture = QuantizedFixture(format)
    for fromInitial in [false, true] {
      let elements = fixture.product(fromInitial: fromInitial, fused: Self.isFused(set))
      for rows in 1...Self.tileRows {
        // Other rows each time.
        let range = Self.tileRows - rows..<Self.tileRows
        for panels in 1...2 {
          let expected = bits(elements, fixture, rows: range, panels: panels)
          let tile = Self.tile(fixture, table, rows: range, panels: panels, fromInitial: fromInitial)
          #expect(tile.map(\.bitPattern) == expected, "tile of \(rows) rows and \(panels) panels")
          let vector = Self.vector(
            fixture, table, rows: range, panels: panels, fromInitial: fromInitial)
          #expect(vector.map(\.bitPattern) == expected, "\(rows) rows by \(panels) panels")
        }
      }
      let all = 0..<Self.tileRows
      let passes = Self.tile(
        fixture, table, rows: all, panels: 2, groupsPerPass: 8, fromInitial: fromInitial)
      #expect(passes.map(\.bitPattern) == bits(elements, fixture, rows: all, panels: 2), "two passes")
      // Rows side by side with others that are not computed.
      let spread = Self.vector(
        fixture, table, rows: 4..<6, panels: 2, step: 5, fromInitial: fromInitial)
      #expect(spread.map(\.bitPattern) == bits(elements, fixture, rows: 4..<6, panels: 2))
    }
  }

  /// Against double precision; `QuantizedFixture.ceiling` says what rounding may do.
  @Test(arguments: InstructionSet.available, QuantizedFormat.allCases)
  func errorsAreThoseOfRounding(set: InstructionSet, format: QuantizedFormat) throws {
    let table = try KernelTable.table(for: set)
    let fixture = QuantizedFixture(format)
    let elements = fixture.product(fromInitial: true, fused: Self.isFused(set))
    let values = Self.tile(fixture, table, rows: 0..<Self.tileRows, panels: 2, fromInitial: true)
    for (value, element) in zip(values, elements) {
      #expect(abs(Double(value) - element.exact) <= fixture.ceiling * element.magnitude)
    }
    #expect(fixture.ceiling < 4e-6)
  }

  /// The greatest sums: those of AVX2 pass through 16 bits.
  @Test(arguments: InstructionSet.available, QuantizedFormat.allCases)
  func extremesDoNotOverflow(set: InstructionSet, format: QuantizedFormat) throws {
    let table = try KernelTable.table(for: set)
    for content in QuantizedFixture.Content.allCases where content != .random {
      let fixture = QuantizedFixture(format, panels: 2, groups: 8, rows: 7, content: content)
      let elements = fixture.product(fromInitial: false, fused: Self.isFused(set))
      let expected = bits(elements, fixture, rows: 0..<7, panels: 2)
      let tile = Self.tile(fixture, table, rows: 0..<7, panels: 2, fromInitial: false)
      #expect(tile.map(\.bitPattern) == expected, "\(content)")
      let vector = Self.vector(fixture, table, rows: 0..<3, panels: 2, fromInitial: false)
      #expect(vector.map(\.bitPattern) == Array(expected.prefix(3 * 32)), "\(content)")
    }
  }

  /// Unpacked weights are what was packed, for any bytes: NaN and infinite scales among them.
  @Test(arguments: InstructionSet.available, QuantizedFormat.allCases)
  func packedWeightsUnpack(set: InstructionSet, format: QuantizedFormat) throws {
    let table = try KernelTable.table(for: set)
    let kernels = table.quantized(format)
    let reference = PackedFormatReference(format: format)
    let shape = format.shape
    let total = format.scaleSizes.total
    var random = SplitMix64(seed: 7)
    let halves = shape.hasHalves ? 2 : 1
    let groups = shape.groupsPerRecord
    // Codes of a form of fewer than 8 bits have only those bits.
    let codes = (0..<16 * groups * 32).map { _ in
      UInt8.random(in: 0...UInt8(reference.codeCount - 1), using: &random)
    }
    var scales = (0..<16 * total).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    if format == .mxfp4 {
      // All exponents, in turn.
      for index in scales.indices { scales[index] = UInt8(truncatingIfNeeded: index * 37) }
    } else {
      // Zero, infinity, NaN and a subnormal for some outputs.
      let specials: [UInt8] = [0, 0, 0, 0x7C, 1, 0x7E, 3, 0x80]
      for output in 0..<4 {
        scales.replaceSubrange(
          output * total..<output * total + 2, with: specials[2 * output..<2 * output + 2])
      }
    }
    var record = [UInt8](repeating: 0, count: shape.recordBytes)
    record.withUnsafeMutableBytes { bytes in
      let place = bytes.baseAddress!
      for output in 0..<16 {
        scales.withUnsafeBytes {
          format.packScales($0.baseAddress! + output * total, output: output, to: place)
        }
      }
      for part in 0..<groups {
        codes.withUnsafeBufferPointer {
          format.packCodes(
            $0.baseAddress! + part * 32, stride: groups * 32,
            to: place + shape.scaleBytes + part * shape.codeBytes)
        }
      }
    }
    var levels = [UInt8](repeating: 0, count: groups * 512)
    var unpackedScales = [Float](repeating: 0, count: groups * 16 * halves)
    var unpackedMinimums = unpackedScales
    levels.withUnsafeMutableBytes { levels in
      unpackedScales.withUnsafeMutableBufferPointer { scales in
        unpackedMinimums.withUnsafeMutableBufferPointer { minimums in
          kernels.unpack(
            groups, record,
            UnpackedTile(
              codes: levels.baseAddress!, scales: scales.baseAddress!, minimums: minimums.baseAddress!))
        }
      }
    }
    for output in 0..<16 {
      for input in 0..<groups * 32 {
        let (group, place) = input.quotientAndRemainder(dividingBy: 32)
        let byte = levels[((group * 8 + place / 4) * 16 + output) * 4 + place % 4]
        // Where the instruction set multiplies signed bytes, 8-bit codes are stored with their sign.
        let level =
          format.bias == 128 && kernels.bias == 0 ? Int32(Int8(bitPattern: byte)) : Int32(byte) - format.bias
        #expect(level == reference.level(codes[output * groups * 32 + input]))
      }
      for group in 0..<groups {
        for half in 0..<halves {
          let expected = reference.scale(
            scales[output * total..<(output + 1) * total], group: group, half: half)
          let place = (group * halves + half) * 16 + output
          #expect(isSame(unpackedScales[place], expected.scale))
          if shape.hasMinimum { #expect(isSame(unpackedMinimums[place], expected.minimum)) }
        }
      }
    }
  }

  private func isSame(_ a: Float, _ b: Float) -> Bool { a == b || (a.isNaN && b.isNaN) }

  /// A row with NaN for scales spoils itself and no other.
  @Test(arguments: InstructionSet.available, QuantizedFormat.allCases)
  func rowsDoNotSeeEachOther(set: InstructionSet, format: QuantizedFormat) throws {
    let table = try KernelTable.table(for: set)
    let fixture = QuantizedFixture(format, panels: 1, groups: 8, rows: 12)
    let plain = Self.tile(fixture, table, rows: 0..<12, panels: 1, fromInitial: false)
    for spoiled in [0, 2, 5, 11] {
      let odd = fixture.replacingScales(ofRow: spoiled, with: .nan)
      let tile = Self.tile(odd, table, rows: 0..<12, panels: 1, fromInitial: false)
      for row in 0..<12 {
        let values = tile[row * 16..<row * 16 + 16]
        if row == spoiled {
          #expect(values.allSatisfy { $0.isNaN })
        } else {
          #expect(values.map(\.bitPattern) == plain[row * 16..<row * 16 + 16].map(\.bitPattern))
        }
      }
    }
  }
}
