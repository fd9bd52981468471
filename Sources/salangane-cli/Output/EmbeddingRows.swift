import ArgumentParser
import SalanganeFiles

/// How vectors are written.
enum VectorFormat: String, ExpressibleByArgument, CaseIterable {
  /// One JSON object a line.
  case jsonl
  /// One JSON array of the same objects.
  case json
  /// A NumPy array of float32, `[texts, features]`.
  case npy
}

/// What became of one text.
struct EmbeddingRow {
  /// The text.
  var input: InputText
  /// The vector, or what was wrong with the text.
  var result: Result<Vector, InputText.Problem>

  /// A vector and what goes with it.
  struct Vector {
    let values: ArraySlice<Float>
    let tokenCount: Int
    let isTruncated: Bool
  }
}

/// Writes rows in the order in which they come.
struct EmbeddingRows {
  private var output: Output
  private let format: VectorFormat
  private var count = 0
  private var json = JSONWriter()
  private var array: NumPyWriter?

  /// Prepares to write to `output`.
  ///
  /// - Parameters:
  ///   - format: The format.
  ///   - dimensions: Features of a vector.
  ///   - expectedCount: How many rows will come, if that is known; otherwise a NumPy array is kept in memory.
  init(_ output: Output, format: VectorFormat, dimensions: Int, expectedCount: Int?) throws {
    self.output = output
    self.format = format
    switch format {
    case .jsonl: break
    case .json: try self.output.write("[")
    case .npy:
      array = NumPyWriter(columns: dimensions, rows: expectedCount)
      if let array, expectedCount != nil { try self.output.write(array.header) }
    }
  }

  /// Writes rows.
  ///
  /// - Throws: `ModelFileError` if they can't be written; `InputText.Problem` for a row without a vector
  ///   where the format has no place for it.
  mutating func write(_ rows: [EmbeddingRow]) throws {
    for row in rows {
      if array != nil {
        let bytes = array?.append(try row.result.get().values) ?? []
        try output.write(bytes)
      } else {
        try writeJSON(row)
      }
      count += 1
    }
    try output.flush()
  }

  private mutating func writeJSON(_ row: EmbeddingRow) throws {
    json.removeAll()
    json.object { json in
      json.key("index")
      json.value(count)
      if let id = row.input.id {
        json.key("id")
        json.raw(id)
      }
      switch row.result {
      case .success(let vector):
        json.key("tokens")
        json.value(vector.tokenCount)
        if vector.isTruncated {
          json.key("truncated")
          json.value(true)
        }
        json.key("embedding")
        json.array(vector.values)
      case .failure(let problem):
        json.key("error")
        json.value(problem.message)
      }
    }
    if format == .json {
      try output.write(count == 0 ? "\n" : ",\n")
    } else {
      json.newline()
    }
    try output.write(json.bytes)
  }

  /// Completes the output.
  ///
  /// - Throws: `ModelFileError`, also if fewer or more rows came than were announced.
  mutating func finish() throws {
    if format == .json { try output.write(count == 0 ? "]\n" : "\n]\n") }
    if let array {
      if array.isBuffered {
        try output.write(array.header)
        try output.write(array.buffer)
      } else if array.rows != count {
        throw InputError("expected \(array.rows) texts, found \(count): the input changed while it was read")
      }
    }
    try output.finish()
  }
}
