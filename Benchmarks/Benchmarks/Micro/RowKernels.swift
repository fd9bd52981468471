import Salangane
import SalanganeKernels

/// The kernels of rows, from and to the first-level cache, on one thread: a value counts as a multiply-add. That says
/// how fast they are beside what the CPU can do; they can't reach it.
func registerRowKernels() {
  register("rows: RMS norm") { kernels, memory in
    kernels.rmsNormRows(
      Rows.rows, Rows.columns, memory.a, Rows.columns, nil, 0, memory.b, 1e-6, memory.c, Rows.columns)
  }
  register("rows: layer norm") { kernels, memory in
    kernels.layerNormRows(
      Rows.rows, Rows.columns, memory.a, Rows.columns, nil, 0, memory.b, memory.b, 1e-6, memory.c,
      Rows.columns)
  }
  register("rows: GELU") { kernels, memory in
    memory.c.update(from: memory.a, count: Rows.count)
    kernels.geluRows(Rows.rows, Rows.columns, memory.c, Rows.columns)
  }
  register("rows: SwiGLU") { kernels, memory in
    memory.c.update(from: memory.a, count: Rows.count)
    kernels.swigluRows(Rows.rows, Rows.columns, memory.c, memory.b, Rows.columns)
  }
  register("rows: rotation") { kernels, memory in
    kernels.rotateRows(Rows.count / 128, 64, memory.c, 128, memory.a, memory.b)
  }
  register("rows: addition") { kernels, memory in
    kernels.addInPlace(Rows.count, memory.b, memory.c)
    // What is added grows without end, and what isn't finite would be slower.
    kernels.scaleRows(1, Rows.count, memory.half, memory.c, Rows.count, memory.c, Rows.count)
  }
  register("rows: dot product") { kernels, memory in
    memory.c[0] = kernels.dotProduct(Rows.count, memory.a, memory.b)
  }
  register("rows: to half precision") { kernels, memory in
    kernels.roundToHalf(Rows.count, memory.a, memory.halves)
  }
  register("rows: from half precision") { kernels, memory in
    kernels.widenHalf(Rows.count, memory.halves, memory.c)
  }
  register("rows: finite") { kernels, memory in
    memory.c[0] = kernels.allFinite(Rows.count, memory.a) ? 1 : 0
  }
}

private func register(
  _ name: String, _ run: @escaping @Sendable (KernelTable, Rows) -> Void
) {
  registerShare(name) {
    let kernels = try KernelTable.table(for: .preferred)
    let memory = Rows()
    let repetitions = 64
    return ClosureWork(ceiling: "f32", amount: Double(repetitions * Rows.count)) {
      for _ in 0..<repetitions { run(kernels, memory) }
    }
  }
}

/// Some kilobytes of numbers. `@unchecked Sendable`: one benchmark uses it, on one thread at a time.
private final class Rows: @unchecked Sendable {
  static let rows = 2
  static let columns = 1024
  static let count = rows * columns

  let a = UnsafeMutablePointer<Float>.allocate(capacity: count)
  let b = UnsafeMutablePointer<Float>.allocate(capacity: count)
  let c = UnsafeMutablePointer<Float>.allocate(capacity: count)
  let half = UnsafeMutablePointer<Float>.allocate(capacity: 1)
  let halves = UnsafeMutablePointer<UInt16>.allocate(capacity: count)

  init() {
    for index in 0..<Self.count {
      a[index] = Float(index % 97) / 97 - 0.5
      b[index] = Float(index % 89) / 89 - 0.5
    }
    c.initialize(repeating: 0, count: Self.count)
    half.initialize(to: 0.5)
    halves.initialize(repeating: 0x3400, count: Self.count)
  }

  deinit {
    a.deallocate()
    b.deallocate()
    c.deallocate()
    half.deallocate()
    halves.deallocate()
  }
}
