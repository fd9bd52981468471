import SalanganeFiles

extension MalformedFile {
  /// safetensors files whose header is wrong.
  public static let safetensorsHeaders: [MalformedFile] = [
    safetensors("file of 7 bytes", "header: expected the 8 bytes of its length, found 7") {
      var file = RawSafetensors()
      file.length = 7
      return file
    },
    safetensors("header beyond 100 MB", "header: expected a length of at most 100000000 bytes") {
      var file = RawSafetensors()
      file.headerLength = 100_000_001
      return file
    },
    safetensors("header of 2^64 - 1 bytes", "expected a length of at most 100000000") {
      var file = RawSafetensors()
      file.headerLength = .max
      return file
    },
    safetensors("header longer than the file", "header: expected 100000 bytes within the file") {
      var file = RawSafetensors()
      file.headerLength = 100_000
      return file
    },
    safetensors("header of 0 bytes", "starts with '{'") {
      var file = RawSafetensors()
      file.headerLength = 0
      return file
    },
    safetensors("header that is an array", "starts with '{'") { RawSafetensors("[]", dataCount: 0) },
    safetensors("header with a space in front", "starts with '{'") { RawSafetensors(" {}", dataCount: 0) },
    safetensors("header that is cut", "expected") {
      var file = RawSafetensors()
      file.headerLength = UInt64(file.header.count - 1)
      return file
    },
    safetensors("header that isn't UTF-8", "expected valid UTF-8") {
      var file = RawSafetensors()
      file.header[5] = 0xFF
      return file
    },
    safetensors("header that is too deep", "levels of nesting") {
      RawSafetensors(#"{"a":[[[[[[[[[[]]]]]]]]]]}"#, dataCount: 0)
    },
    safetensors("metadata that is an array", "__metadata__: expected an object of strings") {
      RawSafetensors(#"{"__metadata__":[]}"#, dataCount: 0)
    },
    safetensors("metadata that is a number", "__metadata__.a: expected a string") {
      RawSafetensors(#"{"__metadata__":{"a":1}}"#, dataCount: 0)
    },
    safetensors("duplicate tensor", "a: expected the key only once") {
      RawSafetensors(
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
        dataCount: 2)
    },
    safetensors("duplicate tensor with an escape", "a: expected the key only once") {
      RawSafetensors(
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
        dataCount: 2)
    },
    safetensors("empty tensor name", "tensor names that aren't empty") {
      RawSafetensors(#"{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, dataCount: 1)
    },
  ]

  private static func tensor(
    _ description: String, _ message: String, kind: ModelFileError.Kind = .malformed, _ tensor: String,
    dataCount: Int = 4
  ) -> MalformedFile {
    safetensors(description, message, kind: kind) {
      RawSafetensors("{\"a\":\(tensor)}", dataCount: dataCount)
    }
  }

  /// safetensors files with a wrong tensor.
  public static let safetensorsTensors: [MalformedFile] = [
    tensor("tensor that is a number", "a: expected an object", "1"),
    tensor("no dtype", "a: expected an object with a string", #"{"shape":[1],"data_offsets":[0,4]}"#),
    tensor("no shape", "a: expected a \"shape\"", #"{"dtype":"F32","data_offsets":[0,4]}"#),
    tensor("negative size", "a: expected a \"shape\"", #"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#),
    tensor(
      "size with a fraction", "a: expected a \"shape\"",
      #"{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}"#),
    tensor(
      "size beyond Int", "a: expected a \"shape\"", #"{"dtype":"F32","shape":[1e30],"data_offsets":[0,4]}"#),
    tensor("no offsets", "a: expected \"data_offsets\"", #"{"dtype":"F32","shape":[1]}"#),
    tensor("one offset", "a: expected \"data_offsets\"", #"{"dtype":"F32","shape":[1],"data_offsets":[0]}"#),
    tensor(
      "three offsets", "a: expected \"data_offsets\"", #"{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}"#),
    tensor(
      "nine dimensions", "a: expected at most 8 dimensions, found 9",
      #"{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}"#),
    tensor(
      "unknown type", "a: expected one of the types", kind: .unsupported,
      #"{"dtype":"F128","shape":[1],"data_offsets":[0,4]}"#),
    tensor(
      "4-bit type", "found F4", kind: .unsupported, #"{"dtype":"F4","shape":[8],"data_offsets":[0,4]}"#),
    tensor(
      "6-bit type", "found F6_E2M3", kind: .unsupported,
      #"{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}"#),
    tensor(
      "product that overflows", "a: expected a size below 2^63 bytes",
      #"{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}"#),
    tensor(
      "bytes that overflow", "a: expected a size below 2^63 bytes",
      #"{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}"#),
    tensor(
      "offsets in reverse", "a: expected offsets in order",
      #"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#),
    tensor(
      "offset behind the file", "a: expected offsets in order within the 4 bytes",
      #"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#),
    tensor(
      "size that doesn't fit the offsets", "a: expected 8 bytes for F32 of shape [2], found 4",
      #"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#),
    tensor(
      "hole at the start", "a: expected bytes that start at 0 of the data, found a hole",
      #"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, dataCount: 8),
    tensor(
      "bytes behind the last tensor", "a: expected the last tensor to end with the file, found 2 more bytes",
      #"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, dataCount: 6),
    safetensors("hole between tensors", "b: expected bytes that start at 1 of the data, found a hole") {
      RawSafetensors(
        #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#,
        dataCount: 3)
    },
    safetensors("overlap", "b: expected bytes that start at 2 of the data, found them shared") {
      RawSafetensors(
        #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
        dataCount: 3)
    },
  ]

  private static let configuration = Array(#"{"model_type":"bert"}"#.utf8)
  private static let oneTensor = RawSafetensors(
    #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, dataCount: 1
  ).bytes

  private static func index(
    _ description: String, _ message: String, kind: ModelFileError.Kind = .malformed, _ index: String,
    _ shards: [String: [UInt8]] = ["one.safetensors": oneTensor]
  ) -> MalformedFile {
    let files = ["config.json": configuration, "model.safetensors.index.json": Array(index.utf8)]
    return directory("index: \(description)", message, kind: kind, files.merging(shards) { $1 })
  }

  /// Directories whose files don't make a model.
  public static let directories: [MalformedFile] = [
    MalformedFile("nothing there", "model.gguf: ", kind: .missing) { $0.path("model.gguf") },
    directory("empty directory", "config.json: ", kind: .missing, [:]),
    directory("no weights", "expected model.safetensors or", kind: .missing, ["config.json": configuration]),
    directory("no configuration", "config.json: ", kind: .missing, ["model.safetensors": oneTensor]),
    directory(
      "weights of PyTorch", "pytorch_model.bin: expected model.safetensors", kind: .unsupported,
      ["config.json": configuration, "pytorch_model.bin": [0x50, 0x4B, 3, 4]]),
    directory(
      "configuration that isn't JSON", "config.json: a: expected a colon, found '}' (line 1, column 6)",
      ["config.json": Array(#"{"a" }"#.utf8), "model.safetensors": oneTensor]),
    directory(
      "configuration that is an array", "config.json: expected a JSON object",
      ["config.json": Array("[]".utf8), "model.safetensors": oneTensor]),
    directory(
      "configuration without a type", "config.json: model_type: expected a string",
      ["config.json": Array("{}".utf8), "model.safetensors": oneTensor]),
    directory(
      "configuration with a key twice", "config.json: hidden_size: expected the key only once",
      [
        "config.json": Array(#"{"model_type":"bert","hidden_size":1,"hidden_size":2}"#.utf8),
        "model.safetensors": oneTensor,
      ]),
    index("no weight map", "weight_map: expected an object", "{}"),
    index("empty weight map", "weight_map: expected an object", #"{"weight_map":{}}"#),
    index(
      "shard that is missing", "two.safetensors: ", kind: .missing, #"{"weight_map":{"a":"two.safetensors"}}"#
    ),
    index("shard that is a number", "weight_map.a: expected the name of a file", #"{"weight_map":{"a":1}}"#),
    index(
      "shard outside", "weight_map.a: expected the name of a file",
      #"{"weight_map":{"a":"../one.safetensors"}}"#),
    index(
      "absolute path", "weight_map.a: expected the name of a file",
      #"{"weight_map":{"a":"/one.safetensors"}}"#),
    index("shard named ..", "weight_map.a: expected the name of a file", #"{"weight_map":{"a":".."}}"#),
    index(
      "NUL in a name", "weight_map.a: expected the name of a file",
      #"{"weight_map":{"a":"one.safetensors\u0000"}}"#),
    index(
      "tensor that is in no shard", "one.safetensors: b: expected the tensor in this file",
      #"{"weight_map":{"a":"one.safetensors","b":"one.safetensors"}}"#),
    index(
      "tensor that isn't in the index", "one.safetensors: a: expected only tensors that",
      #"{"weight_map":{"b":"one.safetensors"}}"#),
    index(
      "tensor in two shards", "two.safetensors: a: expected only tensors that",
      #"{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#,
      ["one.safetensors": oneTensor, "two.safetensors": oneTensor]),
    index(
      "tensor twice", "weight_map.a: expected the key only once",
      #"{"weight_map":{"a":"one.safetensors","a":"one.safetensors"}}"#),
    MalformedFile("neither format", "notes.txt: expected a GGUF or safetensors file") {
      try $0.write("some text", to: "notes.txt")
    },
    MalformedFile("zip archive", "found a zip archive", kind: .unsupported) {
      try $0.write([0x50, 0x4B, 3, 4, 0, 0], to: "model.pt")
    },
    MalformedFile("file in the place of a directory", "expected a readable file", kind: .missing) {
      try $0.write("x", to: "file") + "/model.gguf"
    },
  ]
}
