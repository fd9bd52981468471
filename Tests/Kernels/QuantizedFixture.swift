import SalanganeKernels
import SalanganeTestSupport

/// Weights and activations of a product, packed and not.
struct QuantizedFixture {
  /// Which codes and activations there are.
  enum Content: CaseIterable {
    /// Any.
    case random
    /// The smallest code everywhere, and activations of 127.
    case smallest
    /// The greatest code everywhere, and activations of 127.
    case greatest
    /// The greatest code everywhere, and activations of -127.
    case greatestNegative
    /// The extremes of both, in turn.
    case alternating
  }

  let reference: PackedFormatReference
  let panels: Int
  let groups: Int
  let rows: Int
  /// `[16 * panels, 32 * groups]`.
  let codes: [UInt8]
  /// `[16 * panels, records * scaleSizes.total]`.
  let scales: [UInt8]
  /// `[rows, 32 * groups]`.
  let activations: [Int8]
  /// `[rows, groups]`.
  private(set) var activationScales: [Float]
  /// What sums may start from, `[rows, 16 * panels]`.
  let initial: [Float]
  /// The panels, one after the other.
  let packed: [UInt8]

  var format: QuantizedFormat { reference.format }
  var shape: QuantizedFormat.Shape { format.shape }
  private var scaleStride: Int { groups / shape.groupsPerRecord * format.scaleSizes.total }
  /// Bytes from one packed panel to the next.
  var panelStride: Int { groups / shape.groupsPerRecord * shape.recordBytes }

  init(
    _ format: QuantizedFormat, panels: Int = 2, groups: Int = 16, rows: Int = 12, content: Content = .random
  ) {
    var random = SplitMix64(seed: UInt64(format.rawValue))
    let reference = PackedFormatReference(format: format)
    let shape = format.shape
    self.reference = reference
    self.panels = panels
    self.groups = groups
    self.rows = rows
    let last = UInt8(reference.codeCount - 1)
    // The greatest magnitudes of the levels of a code book are at its ends too, but for those of E2M1.
    let first: UInt8 = format == .mxfp4 ? 15 : 0
    let greatest: UInt8 = format == .mxfp4 ? 7 : last
    codes = (0..<16 * panels * 32 * groups).map { index in
      switch content {
      case .random: UInt8.random(in: 0...last, using: &random)
      case .smallest: first
      case .greatest, .greatestNegative: greatest
      case .alternating: index % 3 == 0 ? first : greatest
      }
    }
    activations = (0..<rows * 32 * groups).map { index in
      switch content {
      case .random: Int8.random(in: -127...127, using: &random)
      case .smallest, .greatest: 127
      case .greatestNegative: -127
      case .alternating: index % 3 == 0 ? -127 : 127
      }
    }
    let records = groups / shape.groupsPerRecord
    scales = (0..<16 * panels * records).flatMap { _ in reference.randomScales(using: &random) }
    activationScales = random.floats(rows * groups, in: 0.001...0.1)
    initial = random.floats(rows * 16 * panels, in: -10...10)

    packed = Self.pack(format, codes, scales, panels: panels, groups: groups)
  }

  private static func pack(
    _ format: QuantizedFormat, _ codes: [UInt8], _ scales: [UInt8], panels: Int, groups: Int
  ) -> [UInt8] {
    let shape = format.shape
    let records = groups / shape.groupsPerRecord
    var packed = [UInt8](repeating: 0, count: panels * records * shape.recordBytes)
    for panel in 0..<panels {
      for record in 0..<records {
        packed.withUnsafeMutableBytes { bytes in
          let place = bytes.baseAddress! + (panel * records + record) * shape.recordBytes
          for output in 0..<16 {
            let row = panel * 16 + output
            scales.withUnsafeBytes {
              format.packScales(
                $0.baseAddress! + (row * records + record) * format.scaleSizes.total, output: output,
                to: place)
            }
          }
          for part in 0..<shape.groupsPerRecord {
            codes.withUnsafeBufferPointer {
              format.packCodes(
                $0.baseAddress! + panel * 16 * 32 * groups + (record * shape.groupsPerRecord + part) * 32,
                stride: 32 * groups, to: place + shape.scaleBytes + part * shape.codeBytes)
            }
          }
        }
      }
    }
    return packed
  }

  /// The same with other activation scales for a row.
  func replacingScales(ofRow row: Int, with scale: Float) -> QuantizedFixture {
    var result = self
    for group in 0..<groups { result.activationScales[row * groups + group] = scale }
    return result
  }

  /// The scale of half a group of an output.
  func scale(output: Int, group: Int, half: Int) -> PackedFormatReference.Scale {
    let (record, part) = group.quotientAndRemainder(dividingBy: shape.groupsPerRecord)
    let start = output * scaleStride + record * format.scaleSizes.total
    return reference.scale(scales[start..<start + format.scaleSizes.total], group: part, half: half)
  }

  /// An element of the product.
  struct Element {
    /// In the documented order: integers of a group or half, then floats, group after group.
    var ordered: Float
    /// In double precision.
    var exact: Double
    /// The sum of the magnitudes of the terms.
    var magnitude: Double
  }

  /// All elements, `[rows, 16 * panels]`, from zero or `initial` on.
  ///
  /// - Parameter fused: Whether a product and a sum are rounded together.
  func product(fromInitial: Bool, fused: Bool) -> [Element] {
    let levels = codes.map(reference.level)
    let outputs = 16 * panels
    let halves = (0..<outputs * groups * 2).map { index in
      scale(output: index / (2 * groups), group: index / 2 % groups, half: index % 2)
    }
    func multiplyAdd(_ a: Float, _ b: Float, _ c: Float) -> Float {
      fused ? c.addingProduct(a, b) : a * b + c
    }
    var elements: [Element] = []
    for row in 0..<rows {
      for output in 0..<outputs {
        let start = fromInitial ? initial[row * outputs + output] : 0
        var element = Element(ordered: start, exact: Double(start), magnitude: Double(abs(start)))
        for group in 0..<groups {
          let factor = activationScales[row * groups + group]
          var products: (Int32, Int32) = (0, 0)
          var sums: (Int32, Int32) = (0, 0)
          var magnitudes: (Int32, Int32) = (0, 0)
          for input in 0..<32 {
            let level = levels[(output * groups + group) * 32 + input]
            let activation = Int32(activations[(row * groups + group) * 32 + input])
            if input < 16 {
              products.0 += level * activation
              sums.0 += activation
              magnitudes.0 += abs(level * activation)
            } else {
              products.1 += level * activation
              sums.1 += activation
              magnitudes.1 += abs(level * activation)
            }
          }
          let first = halves[(output * groups + group) * 2]
          let second = halves[(output * groups + group) * 2 + 1]
          if shape.hasHalves {
            let scaled = multiplyAdd(Float(products.1), second.scale, Float(products.0) * first.scale)
            element.ordered = multiplyAdd(scaled, factor, element.ordered)
            if shape.hasMinimum {
              element.ordered = multiplyAdd(first.minimum, factor * Float(sums.0), element.ordered)
              element.ordered = multiplyAdd(second.minimum, factor * Float(sums.1), element.ordered)
            }
          } else {
            let scaled = Float(products.0 + products.1) * first.scale
            element.ordered = multiplyAdd(scaled, factor, element.ordered)
            if shape.hasMinimum {
              element.ordered = multiplyAdd(first.minimum, factor * Float(sums.0 + sums.1), element.ordered)
            }
          }
          for (half, product, sum, magnitude) in [
            (first, products.0, sums.0, magnitudes.0), (second, products.1, sums.1, magnitudes.1),
          ] {
            let constant = Double(half.minimum) * Double(sum)
            element.exact += Double(factor) * (Double(half.scale) * Double(product) + constant)
            element.magnitude +=
              Double(factor) * (abs(Double(half.scale)) * Double(magnitude) + abs(constant))
          }
        }
        elements.append(element)
      }
    }
    return elements
  }

  /// The greatest error that an element may have, as a share of the sum of its terms' magnitudes: half a unit in
  /// the last place for each addition, and for what comes before the first.
  var ceiling: Double {
    let additions = groups * (shape.hasMinimum ? (shape.hasHalves ? 3 : 2) : 1)
    return Double(additions + 5) * 0x1p-24
  }
}

/// Activations as kernels take them, in memory that ends with the object.
final class PackedActivations {
  private let groups: Int
  private let step: Int
  private let halves: Int
  private let codes: UnsafeMutablePointer<UInt32>
  private let scales: UnsafeMutablePointer<Float>
  private let auxiliary: UnsafeMutablePointer<UInt32>

  /// Packs rows; what stands beside them are NaN and great numbers.
  init(_ fixture: QuantizedFixture, rows: Range<Int>, step: Int, bias: Int32, offset: Int32) {
    let groups = fixture.groups
    let shape = fixture.shape
    self.groups = groups
    self.step = step
    halves = shape.hasHalves ? 2 : 1
    codes = .allocate(capacity: 8 * groups * step)
    codes.initialize(repeating: 0x7F81_7F81, count: 8 * groups * step)
    scales = .allocate(capacity: groups * step)
    scales.initialize(repeating: .nan, count: groups * step)
    auxiliary = .allocate(capacity: halves * groups * step)
    auxiliary.initialize(repeating: 0x7FFF_FFFF, count: halves * groups * step)
    for (place, row) in rows.enumerated() {
      for group in 0..<groups {
        let values = fixture.activations[(row * groups + group) * 32..<(row * groups + group + 1) * 32]
        let first = values.startIndex
        for word in 0..<8 {
          codes[(8 * group + word) * step + place] = (0..<4).reduce(0) {
            $0 | UInt32(UInt8(bitPattern: values[first + 4 * word + $1])) << UInt32(8 * $1)
          }
        }
        let scale = fixture.activationScales[row * groups + group]
        scales[group * step + place] = scale
        for half in 0..<halves {
          let part = halves == 1 ? values : values[first + 16 * half..<first + 16 * half + 16]
          let sum = part.reduce(Int32(0)) { $0 + Int32($1) }
          auxiliary[(halves * group + half) * step + place] =
            shape.hasMinimum
            ? (scale * Float(sum)).bitPattern
            : UInt32(bitPattern: (half == 0 ? offset : 0) - bias * sum)
        }
      }
    }
  }

  deinit {
    codes.deallocate()
    scales.deallocate()
    auxiliary.deallocate()
  }

  /// The operand from a group on.
  func operand(from group: Int = 0) -> QuantizedActivations {
    QuantizedActivations(
      codes: codes + 8 * group * step, scales: scales + group * step,
      auxiliary: auxiliary + halves * group * step, step: step)
  }
}
