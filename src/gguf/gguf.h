#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "safetensors/mapped_file.h"

namespace bobby {

/// Tensor types of a GGUF file, by the numbers the format gives them. Only those with a lossless
/// place in an MLX folder are implemented; the rest are named when refused.
enum class GgufType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ8_0 = 8,
  kBF16 = 30
};

/// "Q4_1", "Q6_K", ...; "type 77" for a number that the format does not define.
std::string gguf_type_name(std::uint32_t type);

/// A metadata value: numbers widened, arrays of one kind.
using GgufValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string, std::vector<std::int64_t>,
                 std::vector<double>, std::vector<std::string>>;

/// One tensor of the file; its data are in the mapping of the GgufFile.
struct GgufTensor {
  std::string name;
  std::uint32_t type = 0;  ///< a GgufType, or a number this project does not read
  std::vector<std::int64_t>
      shape;  ///< row-major, as in safetensors: [rows, cols] (GGUF stores it reversed)
  std::span<const std::byte> data;  ///< in the mapped file; empty for types that are not read
};

/// A GGUF file (versions 2 and 3, little-endian), mapped and checked: every length and offset lies
/// inside the file, no tensor or key stands twice.
/// Source of the format: ggml's docs/gguf.md.
class GgufFile {
 public:
  /// kNotFound, kIo; kMalformed naming what is wrong; kUnsupported for other versions.
  static Result<GgufFile> open(const std::filesystem::path& path);
  /// The same over memory that outlives the result; `name` stands in errors.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string name);

  /// The path, or the name given to parse(); then the key-value section; then the tensors in the
  /// file's order.
  const std::string& name() const { return name_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  /// The value of `key` as T, or an Error naming the key and the type expected.
  template <typename T>
  Result<T> get(std::string_view key) const;
  /// Like get(), but nullopt when the key is absent.
  template <typename T>
  Result<std::optional<T>> find(std::string_view key) const;

 private:
  std::optional<safetensors::MappedFile> file_;
  std::string name_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace bobby
