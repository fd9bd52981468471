/// The safetensors files of a model directory: one, or those that an index names.
struct ShardedSafetensors {
  /// The files, in the order of their names.
  let files: [FileBytes]
  /// The tensors, file by file, each in the order of its bytes.
  let tensors: [StoredTensor]
  /// The metadata of all headers.
  let metadata: [(key: String, value: String)]

  static let singleName = "model.safetensors"
  static let indexName = "model.safetensors.index.json"

  /// One file.
  init(_ file: SafetensorsFile) {
    files = [file.file]
    tensors = file.tensors
    metadata = file.metadata
  }

  /// The files that the index of `directory` names.
  init(indexOf directory: ModelDirectory, mapped: Bool) throws(ModelFileError) {
    let path = directory.path(of: Self.indexName)
    let weightMap = try Self.weightMap(of: directory)
    var names: [String] = []
    var shardOfName = NameTable()
    var shardOfTensor: [(tensor: String, shard: Int)] = []
    var listed = NameTable(minimumCapacity: weightMap.count)
    for (tensor, shard) in weightMap {
      if shardOfName.insert(shard, names.count) { names.append(shard) }
      guard listed.insert(tensor, shardOfTensor.count), let number = shardOfName[shard] else {
        throw ModelFileError(
          .malformed, file: path, subject: tensor, expectation: "expected the tensor only once")
      }
      shardOfTensor.append((tensor, number))
    }
    var files: [FileBytes] = []
    var tensors: [StoredTensor] = []
    var metadata: [(key: String, value: String)] = []
    var isFound = [Bool](repeating: false, count: shardOfTensor.count)
    for name in names.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
      let shard = try SafetensorsFile(
        path: directory.path(of: name), mapped: mapped, limits: directory.limits)
      for tensor in shard.tensors {
        guard let position = listed[tensor.name], shardOfTensor[position].shard == shardOfName[name] else {
          let place = listed[tensor.name].map { names[shardOfTensor[$0].shard] }
          throw ModelFileError(
            .malformed, file: shard.path, subject: tensor.name,
            expectation: "expected only tensors that \(Self.indexName) places here, found one that it "
              + (place.map { "places in \($0)" } ?? "doesn't name"))
        }
        isFound[position] = true
      }
      files.append(shard.file)
      tensors += shard.tensors
      metadata += shard.metadata
    }
    if let position = isFound.firstIndex(of: false) {
      let (tensor, shard) = shardOfTensor[position]
      throw ModelFileError(
        .malformed, file: directory.path(of: names[shard]), subject: tensor,
        expectation: "expected the tensor in this file, as \(Self.indexName) says")
    }
    self.files = files
    self.tensors = tensors
    self.metadata = metadata
  }

  /// The files by tensor, as the index of `directory` has them, in its order.
  static func weightMap(
    of directory: ModelDirectory
  ) throws(ModelFileError) -> [(tensor: String, shard: String)] {
    let path = directory.path(of: indexName)
    let limits = JSONLimits(
      depth: 8, byteCount: min(100_000_000, directory.limits.jsonBytes), membersCheckedForDuplicates: .max)
    let index = try directory.json(indexName, limits: limits)
    guard let map = index.root["weight_map"], map.kind == .object, map.count > 0 else {
      throw ModelFileError(
        .malformed, file: path, subject: "weight_map",
        expectation: "expected an object that gives the file of every tensor")
    }
    try directory.limits.check(tensors: map.count, file: path)
    var weightMap: [(tensor: String, shard: String)] = []
    for (key, value) in map.members {
      guard let tensor = key.string, !tensor.isEmpty, let shard = value.string, isPlainFileName(shard) else {
        throw ModelFileError(
          .malformed, file: path, subject: "weight_map.\(key.string ?? "")",
          expectation:
            "expected the name of a file in the same directory, found \(value.string ?? "no string")")
      }
      weightMap.append((tensor, shard))
    }
    return weightMap
  }

  /// True for names that can't leave the directory.
  private static func isPlainFileName(_ name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= 255, name != ".", name != ".." else { return false }
    return !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") || $0 < 0x20 }
  }
}
