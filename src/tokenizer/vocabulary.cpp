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

std::uint64_t hash_of(std::string_view bytes) {
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t hash = left * kOddConstant;
  while (left > 8) {
    hash = stir(hash, load<std::uint64_t>(at));
    at += 8;
    left -= 8;
  }
  // The last bytes in one or two overlapping loads.
  if (left == 8) {
    hash = stir(hash, load<std::uint64_t>(at));
  } else if (left >= 4) {
    hash = stir(hash, load<std::uint32_t>(at) << 32 | load<std::uint32_t>(at + left - 4));
  } else if (left > 0) {
    const auto byte = [at](std::size_t i) { return load<std::uint8_t>(at + i); };
    hash = stir(hash, byte(0) | byte(left / 2) << 8 | byte(left - 1) << 16);
  }
  return stir(hash, hash >> 32);
}

}  // namespace

void Vocabulary::reserve(std::size_t tokens, std::size_t bytes) {
  arena_.reserve(bytes);
  spans_.reserve(tokens);
  grow_slots(tokens);
}

void Vocabulary::grow_slots(std::size_t tokens) {
  const std::size_t wanted = std::bit_ceil(tokens + tokens / 2 + 8);
  if (wanted <= slots_.size()) return;
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(wanted, Slot{});
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    const std::uint64_t hash = hash_of(bytes(slot.id));
    slots_[static_cast<std::size_t>(find_slot(bytes(slot.id), hash) - slots_.data())] = slot;
  }
}

/// The slot that holds `bytes`, or the empty one where they belong.
const Vocabulary::Slot* Vocabulary::find_slot(std::string_view wanted, std::uint64_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id < 0 || (slot.tag == tag && bytes(slot.id) == wanted)) return &slot;
  }
}

Vocabulary::Added Vocabulary::add(std::string_view token, std::int32_t id) {
  if (contains(id)) return Added::kIdTwice;
  const std::size_t begin = arena_.size();
  if (append_token_bytes(token, arena_)) {
    const std::string_view added(arena_.data() + begin, arena_.size() - begin);
    grow_slots(in_slots_ + 1);
    const std::uint64_t hash = hash_of(added);
    const Slot* found = find_slot(added, hash);
    if (found->id >= 0) {
      arena_.resize(begin);
      return Added::kTokenTwice;
    }
    slots_[static_cast<std::size_t>(found - slots_.data())] = {
        static_cast<std::uint32_t>(hash >> 32), id};
    ++in_slots_;
  } else {
    if (!plain_.emplace(token, id).second) return Added::kTokenTwice;
    arena_.append(token);
  }
  if (index(id) >= spans_.size()) spans_.resize(index(id) + 1);
  spans_[index(id)] = {static_cast<std::uint32_t>(begin),
                       static_cast<std::int32_t>(arena_.size() - begin)};
  ++count_;
  return Added::kYes;
}

std::int32_t Vocabulary::find_bytes(std::string_view bytes) const {
  return slots_.empty() ? -1 : find_slot(bytes, hash_of(bytes))->id;
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
