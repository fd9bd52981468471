/// The four normalisation forms of Unicode (UAX #15), over the tables of the tokenizers library.
package struct UnicodeNormalizer: Normalizer {
  /// A normalisation form.
  package enum Form: String, Sendable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"
  }

  /// The form that texts are brought into.
  package var form: Form

  package init(form: Form) {
    self.form = form
  }

  package func normalize(_ text: UTF8Text, into output: inout [UInt8]) {
    let tables = UnicodeTables.shared
    let composes = form == .nfc || form == .nfkc
    let compatibly = form == .nfkc || form == .nfkd
    var changing: UnicodeProperties = [.joinsPrevious]
    if !composes { changing.insert(.decomposes) }
    if compatibly { changing.insert(.decomposesCompatibly) }

    var segment = DecomposedSegment(tables: tables)
    // Where the last code point begins that nothing has joined yet.
    var held = 0
    // What precedes this offset is in the output.
    var written = 0
    var position = 0
    while position < text.count {
      // Code points below U+00C0 neither join nor decompose canonically, and below U+00A0 not at all.
      if text[position] < 0x80 {
        held = position
        position += 1
        continue
      }
      let (scalar, length) = text.scalar(at: position)
      var properties = tables.properties(of: scalar)
      guard properties.hasAny(changing) || needsCheck(scalar, properties, composes) else {
        held = position
        position += length
        continue
      }
      // Take the segment from the last starter up to the next code point that joins nothing.
      let start = properties.hasAny(.joinsPrevious) ? held : position
      output.append(contentsOf: text[written..<max(written, start)])
      position = max(written, start)
      repeat {
        let (scalar, length) = text.scalar(at: position)
        properties = tables.properties(of: scalar)
        segment.append(scalar, properties, compatibly: compatibly)
        position += length
      } while position < text.count
        && tables.properties(of: text.scalar(at: position).scalar).hasAny(.joinsPrevious)
      segment.sort()
      if composes { segment.compose() }
      segment.flush(into: &output)
      written = position
      held = position
    }
    output.append(contentsOf: text[written...])
  }

  /// Composing forms keep most composites, but some decompose for good (singletons and exclusions).
  @inline(__always)
  private func needsCheck(_ scalar: UInt32, _ properties: UnicodeProperties, _ composes: Bool) -> Bool {
    composes && properties.hasAny(.decomposes) && !Hangul.isSyllable(scalar)
  }
}

/// A decomposed stretch of text that normalisation doesn't reach across.
struct DecomposedSegment {
  let tables: UnicodeTables
  private var scalars: [UInt32] = []
  private var classes: [UInt8] = []

  init(tables: UnicodeTables) {
    self.tables = tables
  }

  var isEmpty: Bool { scalars.isEmpty }

  /// Appends the decomposition of a code point.
  @inline(__always)
  mutating func append(_ scalar: UInt32, _ properties: UnicodeProperties, compatibly: Bool) {
    tables.forEachDecomposed(scalar, properties, compatibly: compatibly) { part in
      scalars.append(part)
      classes.append(tables.properties(of: part).combiningClass)
    }
  }

  /// Brings each run of marks into canonical order: stable, by combining class.
  mutating func sort() {
    var start = 0
    while start < scalars.count {
      guard classes[start] != 0 else {
        start += 1
        continue
      }
      var end = start + 1
      var isSorted = true
      while end < scalars.count, classes[end] != 0 {
        isSorted = isSorted && classes[end - 1] <= classes[end]
        end += 1
      }
      if !isSorted { sort(start..<end) }
      start = end
    }
  }

  /// A counting sort: linear, however many marks someone piles up.
  private mutating func sort(_ range: Range<Int>) {
    var starts = [Int](repeating: 0, count: 257)
    for index in range { starts[Int(classes[index]) + 1] += 1 }
    for index in 1...256 { starts[index] += starts[index - 1] }
    let oldScalars = Array(scalars[range])
    let oldClasses = Array(classes[range])
    for (scalar, combiningClass) in zip(oldScalars, oldClasses) {
      let place = range.lowerBound + starts[Int(combiningClass)]
      starts[Int(combiningClass)] += 1
      scalars[place] = scalar
      classes[place] = combiningClass
    }
  }

  /// Joins what composes (UAX #15, canonical composition algorithm).
  mutating func compose() {
    var starter = -1
    var count = 0
    for index in 0..<scalars.count {
      let scalar = scalars[index]
      let combiningClass = classes[index]
      if starter >= 0 {
        // Blocked by a mark of the same or a higher class, or by another starter, in between.
        let isBlocked = count - 1 > starter && classes[count - 1] >= combiningClass
        if !isBlocked, let composite = tables.composition(scalars[starter], scalar) {
          scalars[starter] = composite
          continue
        }
      }
      if combiningClass == 0 { starter = count }
      scalars[count] = scalar
      classes[count] = combiningClass
      count += 1
    }
    scalars.removeSubrange(count...)
    classes.removeSubrange(count...)
  }

  /// Writes the segment out and empties it.
  mutating func flush(into output: inout [UInt8]) {
    forEach { output.append(scalar: $0) }
  }

  /// Calls `body` with the code points and empties the segment.
  mutating func forEach(_ body: (UInt32) -> Void) {
    for scalar in scalars { body(scalar) }
    scalars.removeAll(keepingCapacity: true)
    classes.removeAll(keepingCapacity: true)
  }
}
