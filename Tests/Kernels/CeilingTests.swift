import SalanganeKernels
import SalanganeTestSupport
import Testing

/// The ceilings do the work that they say they do: all of it, and no more.
@Suite struct CeilingTests {
  @Test(arguments: InstructionSet.available)
  func everyWordIsRead(set: InstructionSet) throws {
    let ceilings = try KernelTable.table(for: set).ceilings
    let count = 4096
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    defer { memory.deallocate() }
    var random = SplitMix64(seed: 5)
    let words = memory.bindMemory(to: UInt64.self)
    for index in words.indices { words[index] = random.next() }
    let base = try #require(UnsafeRawPointer(memory.baseAddress))
    let expected = words.reduce(0, ^)
    #expect(ceilings.readThrough(count, base) == expected)
    for index in words.indices {
      let bit = UInt64(1) << UInt64(index % 64)
      words[index] ^= bit
      #expect(ceilings.readThrough(count, base) == expected ^ bit)
      words[index] ^= bit
    }
    #expect(ceilings.readThrough(1024, base) == words[..<128].reduce(0, ^))
    #expect(ceilings.readThrough(0, base) == 0)
  }

  @Test(arguments: InstructionSet.available, [1, 2, 7])
  func everyFloatIsMultiplied(set: InstructionSet, rounds: Int) throws {
    let ceilings = try KernelTable.table(for: set).ceilings
    var scratch = [Float](repeating: 0.5, count: CeilingKernels.scratchCount)
    for index in scratch.indices { scratch[index] = Float(index) / 4096 }
    let before = scratch
    let count = ceilings.peakFloats(rounds, &scratch)
    let sums = count / rounds
    #expect(sums > 0 && sums % 16 == 0 && sums * rounds == count)
    for index in scratch.indices {
      var expected = before[index]
      if index < sums { for _ in 0..<rounds { expected = expected * 0.5 + 0.25 } }
      #expect((scratch[index] - expected).magnitude <= 1e-7)
    }
  }

  @Test(arguments: InstructionSet.available, [1, 3])
  func everyByteIsMultiplied(set: InstructionSet, rounds: Int) throws {
    let ceilings = try KernelTable.table(for: set).ceilings
    // All weights and all rows are ones, as bytes or as pairs of them.
    let ones = Float(bitPattern: 0x0101_0101)
    var scratch = [Float](repeating: ones, count: CeilingKernels.scratchCount)
    let count = ceilings.peakBytes(rounds, &scratch)
    let sums = scratch.map(\.bitPattern).filter { $0 != ones.bitPattern }
    // Four products of bytes are in a sum, or two of pairs: the portable set has no shorter products.
    let (products, value) = set == .portable ? (2, 0x0101 * 0x0101) : (4, 1)
    let steps = count / (sums.count * products)
    #expect(!sums.isEmpty && steps % rounds == 0 && steps * sums.count * products == count)
    #expect(sums.allSatisfy { $0 == UInt32(steps * products * value) })
  }
}
