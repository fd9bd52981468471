/// The generated tables, as text; `UnicodeTables` unpacks them.
enum UnicodeData {}

/// What the tokenizers library takes a code point for.
///
/// Bits 0 to 7 hold the canonical combining class; the flags follow in the order that
/// `Scripts/unicode-tables` writes them.
struct UnicodeProperties: OptionSet, Sendable {
  let rawValue: UInt32

  /// Removed by the cleaning step of `BertNormalizer`.
  static let bertRemoved = UnicodeProperties(rawValue: 1 << 8)
  /// Made a space by the cleaning step of `BertNormalizer`.
  static let bertSpace = UnicodeProperties(rawValue: 1 << 9)
  /// A word of its own for `BertPreTokenizer`.
  static let bertPunctuation = UnicodeProperties(rawValue: 1 << 10)
  /// Removed where `BertNormalizer` strips accents (general category Mn).
  static let nonspacingMark = UnicodeProperties(rawValue: 1 << 11)
  /// Removed by the normalizer `StripAccents` (general category M).
  static let combiningMark = UnicodeProperties(rawValue: 1 << 12)
  /// The property White_Space.
  static let whitespace = UnicodeProperties(rawValue: 1 << 13)
  /// What an added token with `single_word` must not touch.
  static let word = UnicodeProperties(rawValue: 1 << 14)
  /// `\p{L}` of the library's regular expressions.
  static let letter = UnicodeProperties(rawValue: 1 << 15)
  /// `\p{M}` of the library's regular expressions.
  static let mark = UnicodeProperties(rawValue: 1 << 16)
  /// `\p{N}` of the library's regular expressions.
  static let number = UnicodeProperties(rawValue: 1 << 17)
  /// `\p{P}` of the library's regular expressions.
  static let punctuation = UnicodeProperties(rawValue: 1 << 18)
  /// `\p{S}` of the library's regular expressions.
  static let symbol = UnicodeProperties(rawValue: 1 << 19)
  /// `\s` of the library's regular expressions.
  static let regexSpace = UnicodeProperties(rawValue: 1 << 20)
  /// Has a canonical decomposition.
  static let decomposes = UnicodeProperties(rawValue: 1 << 21)
  /// Has a compatibility decomposition that is not the canonical one.
  static let decomposesCompatibly = UnicodeProperties(rawValue: 1 << 22)
  /// Has a lowercase mapping.
  static let lowercases = UnicodeProperties(rawValue: 1 << 23)
  /// May be reordered or composed with what precedes it.
  static let joinsPrevious = UnicodeProperties(rawValue: 1 << 24)
  /// A digit for the pre-tokenizer `Digits` (general category N).
  static let numeric = UnicodeProperties(rawValue: 1 << 25)

  /// The canonical combining class, 0 for starters (Unicode Standard, section 3.11).
  var combiningClass: UInt8 { UInt8(truncatingIfNeeded: rawValue) }

  /// True if any of `flags` is set.
  @inline(__always)
  func hasAny(_ flags: UnicodeProperties) -> Bool { rawValue & flags.rawValue != 0 }
}

/// Properties and mappings of all code points, as the tokenizers library 0.23.3 sees them.
///
/// Unpacked once, on first use, and never freed: about 180 KB.
final class UnicodeTables: Sendable {
  /// The one instance.
  static let shared = UnicodeTables()

  private static let blockShift: UInt32 = 7

  private nonisolated(unsafe) let records: UnsafePointer<UInt32>
  private nonisolated(unsafe) let blockIndices: UnsafePointer<UInt16>
  private nonisolated(unsafe) let blocks: UnsafePointer<UInt8>
  private let ideographs: [ClosedRange<UInt32>]

  private let decompositions: ScalarMap
  private let compatibilityDecompositions: ScalarMap
  private let lowercaseMappings: ScalarMap
  private let compositions: CompositionMap

  private init() {
    var records = VarintReader(UnicodeData.records)
    self.records = Self.permanent(records.rest().map { UInt32(truncatingIfNeeded: $0) })
    var indices = VarintReader(UnicodeData.blockIndices)
    blockIndices = Self.permanent(indices.runs().map { UInt16(truncatingIfNeeded: $0) })
    var blocks = VarintReader(UnicodeData.blocks)
    self.blocks = Self.permanent(blocks.runs().map { UInt8(truncatingIfNeeded: $0) })
    var ideographs = VarintReader(UnicodeData.ideographs)
    let bounds = ideographs.rest().map { UInt32(truncatingIfNeeded: $0) }
    self.ideographs = stride(from: 0, to: bounds.count, by: 2).map { bounds[$0]...bounds[$0 + 1] }
    decompositions = ScalarMap(UnicodeData.decompositions)
    compatibilityDecompositions = ScalarMap(UnicodeData.compatibilityDecompositions)
    lowercaseMappings = ScalarMap(UnicodeData.lowercase)
    compositions = CompositionMap(UnicodeData.compositions)
  }

  private static func permanent<Element>(_ values: [Element]) -> UnsafePointer<Element> {
    let copy = UnsafeMutablePointer<Element>.allocate(capacity: values.count)
    copy.initialize(from: values, count: values.count)
    return UnsafePointer(copy)
  }

  /// The properties of a code point below 0x110000.
  @inline(__always)
  func properties(of scalar: UInt32) -> UnicodeProperties {
    let block = UInt32(blockIndices[Int(scalar >> Self.blockShift)])
    let offset = block << Self.blockShift | scalar & (1 << Self.blockShift - 1)
    return UnicodeProperties(rawValue: records[Int(blocks[Int(offset)])])
  }

  /// True for the ideographs that `BertNormalizer` puts spaces around.
  func isIdeograph(_ scalar: UInt32) -> Bool {
    guard scalar >= 0x3400 else { return false }
    return ideographs.contains { $0.contains(scalar) }
  }

  /// The full decomposition, in unsorted order; the code point itself if it has none.
  @inline(__always)
  func forEachDecomposed(
    _ scalar: UInt32, _ properties: UnicodeProperties, compatibly: Bool, _ body: (UInt32) -> Void
  ) {
    if compatibly, properties.hasAny(.decomposesCompatibly) {
      compatibilityDecompositions.forEach(scalar, body)
    } else if !properties.hasAny(.decomposes) {
      body(scalar)
    } else if Hangul.isSyllable(scalar) {
      let index = scalar - Hangul.syllableBase
      body(Hangul.leadBase + index / Hangul.syllablesPerLead)
      body(Hangul.vowelBase + index % Hangul.syllablesPerLead / Hangul.trailCount)
      let trail = index % Hangul.trailCount
      if trail != 0 { body(Hangul.trailBase + trail) }
    } else {
      decompositions.forEach(scalar, body)
    }
  }

  /// The code points of the lowercase form; the code point itself if it has none.
  @inline(__always)
  func forEachLowercased(_ scalar: UInt32, _ properties: UnicodeProperties, _ body: (UInt32) -> Void) {
    guard properties.hasAny(.lowercases) else { return body(scalar) }
    lowercaseMappings.forEach(scalar, body)
  }

  /// The primary composite of two code points, if there is one.
  func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if first &- Hangul.leadBase < Hangul.leadCount, second &- Hangul.vowelBase < Hangul.vowelCount {
      let lead = (first - Hangul.leadBase) * Hangul.syllablesPerLead
      return Hangul.syllableBase + lead + (second - Hangul.vowelBase) * Hangul.trailCount
    }
    if Hangul.isSyllable(first), (first - Hangul.syllableBase) % Hangul.trailCount == 0,
      second > Hangul.trailBase, second - Hangul.trailBase < Hangul.trailCount
    {
      return first + (second - Hangul.trailBase)
    }
    return compositions[first, second]
  }
}

/// The arithmetic of Hangul syllables (Unicode Standard, section 3.12).
enum Hangul {
  static let syllableBase: UInt32 = 0xAC00
  static let leadBase: UInt32 = 0x1100
  static let vowelBase: UInt32 = 0x1161
  static let trailBase: UInt32 = 0x11A7
  static let leadCount: UInt32 = 19
  static let vowelCount: UInt32 = 21
  static let trailCount: UInt32 = 28
  static let syllablesPerLead = vowelCount * trailCount

  @inline(__always)
  static func isSyllable(_ scalar: UInt32) -> Bool {
    scalar &- syllableBase < leadCount * syllablesPerLead
  }
}
