import SalanganeKernels
import SalanganeTestSupport
import Testing

/// The products on packed panels, and the packing, of every instruction set that this CPU has.
@Suite struct MatmulKernelTests {
  /// What a product's sums start from.
  enum Start: CaseIterable { case zero, bias, output }

  /// One product: `a` packed 12 rows wide, `b` in panels of 16 columns without gaps.
  struct Product {
    let rows: Int
    let panels: Int
    let depth: Int
    let a: [Float]
    let b: [Float]
    /// As long as the panels' columns.
    let bias: [Float]
    /// What lies in the output before; 16 floats more than the panels a row.
    let before: [Float]

    var stride: Int { panels * 16 + 16 }

    init(rows: Int, panels: Int, depth: Int, seed: UInt64) {
      var random = SplitMix64(seed: seed)
      self.rows = rows
      self.panels = panels
      self.depth = depth
      a = random.floats(KernelTable.packedRows * depth)
      b = random.floats(panels * depth * 16)
      bias = random.floats(panels * 16)
      before = random.floats(rows * (panels * 16 + 16))
    }

    func initial(_ start: Start, _ row: Int, _ column: Int) -> Float? {
      switch start {
      case .zero: nil
      case .bias: bias[column]
      case .output: before[row * stride + column]
      }
    }

    /// The output of a kernel of a table.
    func run(_ start: Start, _ kernel: KernelTable.MatmulPanels) -> [Float] {
      run(start) { a, c, initial, initialStride in
        kernel(
          rows, panels, depth, a, KernelTable.packedRows, b, 16, depth * 16, c, stride, initial, initialStride
        )
      }
    }

    func run(
      _ start: Start,
      _ kernel: (UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafePointer<Float>?, Int) -> Void
    ) -> [Float] {
      var c = before
      c.withUnsafeMutableBufferPointer { c in
        bias.withUnsafeBufferPointer { bias in
          let initial: UnsafePointer<Float>? =
            switch start {
            case .zero: nil
            case .bias: bias.baseAddress
            case .output: UnsafePointer(c.baseAddress)
            }
          kernel(a, c.baseAddress!, initial, start == .output ? stride : 0)
        }
      }
      return c
    }
  }

  /// The documented order of an element's sum: chains over blocks of 256, added to the start in order.
  private func blockedSum(_ product: Product, _ start: Float?, _ row: Int, _ column: Int, fused: Bool)
    -> Float
  {
    var total = start
    for block in Swift.stride(from: 0, to: product.depth, by: 256) {
      var sum: Float = 0
      for k in block..<min(block + 256, product.depth) {
        let a = product.a[k * KernelTable.packedRows + row]
        let b = product.b[column / 16 * product.depth * 16 + k * 16 + column % 16]
        sum = fused ? sum.addingProduct(a, b) : sum + a * b
      }
      total = total.map { $0 + sum } ?? sum
    }
    return total ?? 0
  }

  /// Whether a set rounds once in a product and sum: the portable one has no such instruction on x86-64.
  private func isFused(_ set: InstructionSet) -> Bool {
    #if arch(x86_64)
      set != .portable
    #else
      true
    #endif
  }

  @Test(arguments: InstructionSet.available, 1...12)
  func everyBitIsThatOfTheDocumentedSum(set: InstructionSet, rows: Int) throws {
    let table = try KernelTable.table(for: set)
    for (panels, depth) in [(1, 1), (2, 7), (3, 64), (4, 33), (5, 128), (1, 256), (2, 257), (3, 700)] {
      let product = Product(rows: rows, panels: panels, depth: depth, seed: UInt64(rows))
      for start in Start.allCases {
        let c = product.run(start, table.matmulPanels)
        for row in 0..<rows {
          for column in 0..<product.stride {
            let index = row * product.stride + column
            let expected =
              column < panels * 16
              ? blockedSum(
                product, product.initial(start, row, column), row, column, fused: isFused(set))
              : product.before[index]
            if c[index] != expected {
              Issue.record("\(panels) panels, depth \(depth), \(start): (\(row), \(column)) is \(c[index])")
              return
            }
          }
        }
      }
    }
  }

  @Test(arguments: InstructionSet.available)
  func sumsAreNearDoublePrecision(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    let product = Product(rows: 12, panels: 2, depth: 4096, seed: 7)
    let c = product.run(.zero, table.matmulPanels)
    var squares = 0.0
    for row in 0..<12 {
      for column in 0..<32 {
        let exact = (0..<product.depth).reduce(0.0) {
          $0 + Double(product.a[$1 * 12 + row])
            * Double(product.b[column / 16 * product.depth * 16 + $1 * 16 + column % 16])
        }
        let error = Double(c[row * product.stride + column]) - exact
        squares += error * error
      }
    }
    // One chain over all 4096 would be at 2.2e-5.
    #expect((squares / 384).squareRoot() < 8e-6)
  }

  /// Products that go on where others stopped, at a multiple of the block, are those of one call.
  @Test(arguments: InstructionSet.available)
  func cuttingTheDepthAtBlocksChangesNothing(set: InstructionSet) throws {
    let table = try KernelTable.table(for: set)
    let product = Product(rows: 7, panels: 3, depth: 900, seed: 4)
    let whole = product.run(.bias, table.matmulPanels)
    let cut = product.run(.bias) { a, c, initial, initialStride in
      for (first, end) in [(0, 512), (512, 768), (768, 900)] {
        product.b.withUnsafeBufferPointer { b in
          table.matmulPanels(
            7, 3, end - first, a + first * 12, 12, b.baseAddress! + first * 16, 16, product.depth * 16, c,
            product.stride, first == 0 ? initial : UnsafePointer(c),
            first == 0 ? initialStride : product.stride)
        }
      }
    }
    #expect(cut == whole)
  }

  /// Weights of 16 bits give the bits of the floats that they stand for.
  @Test(arguments: InstructionSet.available, 1...12)
  func halfWidthWeights(set: InstructionSet, rows: Int) throws {
    let table = try KernelTable.table(for: set)
    for (panels, depth) in [(1, 5), (2, 256), (3, 61), (4, 300), (5, 1), (6, 17), (7, 520)] {
      let floats = Product(rows: rows, panels: panels, depth: depth, seed: UInt64(panels))
      var halves = [UInt16](repeating: 0, count: floats.b.count)
      table.roundToHalf(halves.count, floats.b, &halves)
      // Some subnormal ones.
      for index in stride(from: 0, to: halves.count, by: 7) { halves[index] &= 0x83FF }
      let brains = floats.b.map { UInt16(truncatingIfNeeded: $0.bitPattern >> 16) }
      var widenedHalves = floats.b
      table.widenHalf(halves.count, halves, &widenedHalves)
      for (weights, widened, kernel) in [
        (halves, widenedHalves, table.matmulHalfPanels),
        (brains, brains.map { Float(bitPattern: UInt32($0) << 16) }, table.matmulBFloat16Panels),
      ] {
        for start in Start.allCases {
          let found = floats.run(start) { a, c, initial, initialStride in
            kernel(
              rows, panels, depth, a, 12, weights, 16, depth * 16, c, floats.stride, initial, initialStride)
          }
          let expected = floats.run(start) { a, c, initial, initialStride in
            table.matmulPanels(
              rows, panels, depth, a, 12, widened, 16, depth * 16, c, floats.stride, initial, initialStride)
          }
          #expect(found == expected)
        }
      }
    }
  }

  @Test(arguments: InstructionSet.available, [1, 2, 3, 4, 5, 8, 11, 12, 16])
  func packRows(set: InstructionSet, rows: Int) throws {
    let table = try KernelTable.table(for: set)
    let width = rows > 12 ? 16 : 12
    for depth in [1, 3, 4, 9, 15, 16, 32, 37] {
      let stride = depth + 5
      let source = (0..<rows * stride).map { Float($0 + 1) }
      let halves = source.map { UInt16($0) }
      var packed = [Float](repeating: .nan, count: width * depth + 1)
      table.packRows(rows, width, depth, source, stride, &packed)
      var packedHalves = [UInt16](repeating: .max, count: width * depth + 1)
      table.packHalfRows(rows, width, depth, halves, stride, &packedHalves)
      for k in 0..<depth {
        for row in 0..<width {
          let expected = row < rows ? source[row * stride + k] : 0
          #expect(packed[k * width + row] == expected)
          #expect(packedHalves[k * width + row] == UInt16(expected))
        }
      }
      #expect(packed[width * depth].isNaN && packedHalves[width * depth] == .max, "wrote beyond the panel")
    }
  }
}
