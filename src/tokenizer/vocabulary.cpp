#include "tokenizer/vocabulary.h"

#include <bit>
#include <cstring>

#include "tokenizer/byte_alphabet.h"

namespace bobby::detail {
namespace {

constexpr std::uint64_t kOddConstant = 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio

std::uint64_t stir(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * kOddConstant;
  return hash ^ hash >> 29;
}

template <typename T>
std::uint64_t load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

constexpr std::size_t kInline = 8;  // bytes that a key can hold
constexpr std::uint32_t kMaxLength = (1u << 30) - 1;

/// The bytes themselves if there are at most kInline of them, else a hash.
std::uint64_t key_of(std::string_view bytes) {
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  if (left >= kInline) {
    if (left == kInline) return load<std::uint64_t>(at);
    std::uint64_t hash = left;
    for (; left > kInline; at += kInline, left -= kInline)
      hash = stir(hash, load<std::uint64_t>(at));
    // The last bytes in one load that overlaps the one before.
    return stir(hash, load<std::uint64_t>(at + left - kInline));
  }
  if (left >= 4)
    return load<std::uint32_t>(at) | load<std::uint32_t>(at + left - 4) << 8 * (left - 4);
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < left; ++i) key |= load<std::uint8_t>(at + i) << 8 * i;
  return key;
}

}  // namespace

void Vocabulary::reserve(std::size_t tokens, std::size_t bytes) {
  arena_.reserve(bytes);
  spans_.reserve(tokens);
}

bool Vocabulary::add(std::string_view token, std::int32_t id) {
  if (contains(id)) return false;
  const std::size_t begin = arena_.size();
  const bool is_plain = !append_token_bytes(token, arena_);
  if (is_plain) arena_.append(token);
  const auto at = static_cast<std::size_t>(id);
  if (at >= spans_.size()) spans_.resize(at + 1);
  spans_[at] = {.begin = static_cast<std::uint32_t>(begin),
                .length = static_cast<std::uint32_t>(arena_.size() - begin) & kMaxLength,
                .is_token = true,
                .is_plain = is_plain};
  ++count_;
  return true;
}

std::int32_t Vocabulary::index() {
  constexpr std::int32_t kAhead = 16;  // the table is larger than the caches
  slots_.assign(std::bit_ceil(count_ + count_ / 2 + 8), Slot{});
  const auto end = static_cast<std::int32_t>(spans_.size());
  for (std::int32_t id = 0; id < end; ++id) {
    if (contains(id + kAhead)) prefetch(bytes(id + kAhead));
    if (!contains(id)) continue;
    if (span(id).is_plain) {
      if (!plain_.emplace(bytes(id), id).second) return id;
      continue;
    }
    const std::uint64_t key = key_of(bytes(id));
    Slot& slot = slots_[find_slot(bytes(id), key)];
    if (slot.id >= 0) return id;
    slot = {key, span(id).length, id};
  }
  return -1;
}

std::size_t Vocabulary::first_slot(std::uint64_t key) const {
  return stir(key, key >> 32) >> 16 & (slots_.size() - 1);
}

/// The slot that holds `wanted`, or the empty one where it belongs.
std::size_t Vocabulary::find_slot(std::string_view wanted, std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = first_slot(key);; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id < 0) return i;
    if (slot.key != key || slot.length != wanted.size()) continue;
    if (wanted.size() <= kInline || bytes(slot.id) == wanted) return i;
  }
}

std::int32_t Vocabulary::find_bytes(std::string_view bytes) const {
  return slots_[find_slot(bytes, key_of(bytes))].id;
}

std::int32_t Vocabulary::find_bytes(std::string_view bytes, std::int32_t guess) const {
  if (contains(guess) && !span(guess).is_plain && this->bytes(guess) == bytes) return guess;
  return find_bytes(bytes);
}

void Vocabulary::prefetch(std::string_view bytes) const {
  __builtin_prefetch(&slots_[first_slot(key_of(bytes))]);
}

std::optional<std::int32_t> Vocabulary::find(std::string_view token) const {
  std::string bytes;
  if (append_token_bytes(token, bytes)) {
    const std::int32_t id = find_bytes(bytes);
    return id < 0 ? std::nullopt : std::optional(id);
  }
  const auto found = plain_.find(std::string(token));
  return found == plain_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace bobby::detail
