import SalanganeTestSupport
import Testing

@Suite struct TestSupportTests {
  @Test func temporaryDirectoryGoesWithItsLastReference() throws {
    var directory: TemporaryDirectory? = try TemporaryDirectory()
    let path = try #require(directory).path
    try directory?.write("text", to: "below/file")
    #expect(try directory?.names() == ["below"])
    #expect(TestFiles.exists(path + "/below/file"))
    directory = nil
    #expect(!TestFiles.exists(path))
  }

  @Test func splitMixIsTheKnownSequence() {
    // The first outputs for seed 1234567, as in the generator's published test vectors.
    var generator = SplitMix64(seed: 1_234_567)
    #expect(generator.next() == 6_457_827_717_110_365_317)
    #expect(generator.next() == 3_203_168_211_198_807_973)
  }

  @Test func readsNumPyFiles() throws {
    let archive = try NumPyArchive(contentsOf: TestFiles.golden("files/arrays.npz"))
    let floats = try archive["floats"]
    #expect(floats.shape == [2, 3])
    #expect(try floats.floats() == [0, 0.5, 1, 1.5, 2, 2.5])
    #expect(try archive["integers"].integers() == [-1, 1 << 40])
    #expect(try archive["bytes"].integers() == [0, 127, 255])
    #expect(try archive["scalar"].shape == [])
    #expect(try archive["scalar"].doubles() == [3.25])
    #expect(throws: NumPyError.self) { try archive["other"] }
    #expect(throws: NumPyError.self) { try archive["bytes"].floats() }
  }
}
