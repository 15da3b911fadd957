#include "training/input_cache.h"

#include <algorithm>

namespace bobby {

std::span<const float> InputCache::find(std::int64_t record,
                                        std::span<const std::int32_t> tokens) const {
  const auto entry = entries_.find(record);
  if (entry == entries_.end() || !std::ranges::equal(entry->second.tokens, tokens)) return {};
  return entry->second.input;
}

std::span<float> InputCache::add(std::int64_t record, std::span<const std::int32_t> tokens,
                                 std::size_t numbers) {
  const std::size_t bytes = numbers * sizeof(float);
  if (record < 0 || entries_.contains(record) || bytes > capacity_ - used_) return {};
  used_ += bytes;
  Entry& entry = entries_[record];
  entry.tokens.assign(tokens.begin(), tokens.end());
  entry.input.resize(numbers);
  return entry.input;
}

}  // namespace bobby
