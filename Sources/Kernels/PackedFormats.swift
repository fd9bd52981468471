// The packed forms of the block formats: how codes lie, how scales lie, and what is subtracted from a code.

/// A packed form of quantised weights.
protocol PackedFormat {
  /// How codes lie.
  associatedtype Layout: CodeLayout
  /// How scales lie.
  associatedtype Scaling: ScaleLayout
}

enum PackedQ4_0: PackedFormat {
  typealias Layout = Codes4
  typealias Scaling = HalfScale
}

enum PackedQ4_1: PackedFormat {
  typealias Layout = Codes4
  typealias Scaling = HalfScaleAndMinimum
}

enum PackedQ5_0: PackedFormat {
  typealias Layout = Codes5
  typealias Scaling = HalfScale
}

enum PackedQ5_1: PackedFormat {
  typealias Layout = Codes5
  typealias Scaling = HalfScaleAndMinimum
}

enum PackedQ8_0: PackedFormat {
  typealias Layout = Codes8
  typealias Scaling = HalfScale
}

enum PackedQ2_K: PackedFormat {
  typealias Layout = Codes2
  typealias Scaling = SuperScaleAndMinimumOfHalves
}

enum PackedQ3_K: PackedFormat {
  typealias Layout = Codes3
  typealias Scaling = SuperScaleOfHalves
}

enum PackedQ4_K: PackedFormat {
  typealias Layout = Codes4
  typealias Scaling = SuperScaleAndMinimum
}

enum PackedQ5_K: PackedFormat {
  typealias Layout = Codes5
  typealias Scaling = SuperScaleAndMinimum
}

enum PackedQ6_K: PackedFormat {
  typealias Layout = Codes6
  typealias Scaling = SuperScaleOfHalves
}

enum PackedIQ4_NL: PackedFormat {
  typealias Layout = CodesIQ4
  typealias Scaling = HalfScale
}

enum PackedIQ4_XS: PackedFormat {
  typealias Layout = CodesIQ4
  typealias Scaling = SuperScale
}

enum PackedMXFP4: PackedFormat {
  typealias Layout = CodesFP4
  typealias Scaling = ExponentScale
}

/// 8-bit codes with a float scale for every 16: the form of all formats that have none of their own.
enum PackedInt8: PackedFormat {
  typealias Layout = Codes8
  typealias Scaling = FloatScaleOfHalves
}
