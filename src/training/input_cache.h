#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace bobby {

/// Inputs of the first trained block by record, in host memory: what the frozen blocks below made
/// of its tokens. Takes records until it is full and keeps them: in an epoch all are equally due.
class InputCache {
 public:
  /// Keeps at most `bytes` of inputs.
  explicit InputCache(std::size_t bytes) : capacity_(bytes) {}

  /// [tokens.size(), hidden_size] of a record with these very tokens; empty: not here.
  std::span<const float> find(std::int64_t record, std::span<const std::int32_t> tokens) const;
  /// Room for `numbers` numbers of a record, to be filled; empty: full, or of a negative record.
  std::span<float> add(std::int64_t record, std::span<const std::int32_t> tokens,
                       std::size_t numbers);

 private:
  struct Entry {
    std::vector<std::int32_t> tokens;
    std::vector<float> input;
  };
  std::size_t capacity_;
  std::size_t used_ = 0;
  std::unordered_map<std::int64_t, Entry> entries_;
};

}  // namespace bobby
