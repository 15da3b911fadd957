#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby {

/// Writes a GGUF file (version 3, little-endian) of keys and float32 tensors.
/// Source of the format: ggml's docs/gguf.md.
class GgufWriter {
 public:
  /// A key that stands once.
  void key(std::string_view name, std::string_view text);
  void key(std::string_view name, std::uint32_t value);
  void key(std::string_view name, float value);

  /// A tensor; `shape` is row-major, as everywhere here. `values` must outlive write().
  void tensor(std::string_view name, std::span<const std::int64_t> shape,
              std::span<const float> values);

  /// Writes the file, which appears whole or not at all. kUsage: `path` exists; kIo.
  Result<void> write(const std::filesystem::path& path) const;

 private:
  std::string header() const;

  std::string keys_;
  std::string infos_;
  std::uint64_t key_count_ = 0;
  std::uint64_t data_bytes_ = 0;
  std::vector<std::span<const float>> tensors_;
};

}  // namespace bobby
