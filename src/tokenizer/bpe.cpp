#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>

namespace bobby::detail {
namespace {

/// Words up to this many symbols are merged by scanning (quadratic, but in cache and without
/// bookkeeping); longer ones by a heap, so that a long word costs n log n.
constexpr std::size_t kShortWord = 64;

}  // namespace

Bpe::Bpe(Vocabulary vocabulary, Options options)
    : vocabulary_(std::move(vocabulary)),
      options_(options),
      whole_(std::make_unique<std::atomic<std::uint8_t>[]>(
          static_cast<std::size_t>(vocabulary_.id_end()))) {
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids_[byte] = vocabulary_.find_bytes({&c, 1});
  }
  add_merges({});
}

void Bpe::add_merges(std::span<const NewMerge> merges) {
  constexpr std::size_t kAhead = 16;  // the table is larger than the caches
  merges_.assign(std::bit_ceil(merges.size() + merges.size() / 2 + 8), Merge{});
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (i + kAhead < merges.size()) {
      const NewMerge& ahead = merges[i + kAhead];
      __builtin_prefetch(&merges_[first_slot(pair_of(ahead.left, ahead.right))]);
    }
    const auto [left, right, merged] = merges[i];
    const Merge& slot = find_merge(left, right);
    merges_[static_cast<std::size_t>(&slot - merges_.data())] = {
        pair_of(left, right), static_cast<std::uint32_t>(i), merged};
  }
}

std::size_t Bpe::first_slot(std::uint64_t pair) const {
  pair *= 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio
  return (pair ^ pair >> 32) & (merges_.size() - 1);
}

const Bpe::Merge& Bpe::find_merge(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = merges_.size() - 1;
  for (std::size_t i = first_slot(pair);; i = (i + 1) & mask)
    if (merges_[i].pair == pair || merges_[i].pair == kNoPair) return merges_[i];
}

void Bpe::Encoder::append(std::string_view word, std::vector<std::int32_t>& ids) {
  const std::int32_t id = bpe_.vocabulary_.find_bytes(word);
  if (id >= 0) {
    std::atomic<std::uint8_t>& state = bpe_.whole_[static_cast<std::size_t>(id)];
    const std::uint8_t whole = state.load(std::memory_order_relaxed);
    if (bpe_.options_.ignore_merges || whole == kIsWhole) {
      ids.push_back(id);
      return;
    }
  }
  start(word);
  symbols_.size() <= kShortWord ? merge_short() : merge_long();
  ids.insert(ids.end(), symbols_.begin(), symbols_.end());
  if (id >= 0)
    bpe_.whole_[static_cast<std::size_t>(id)].store(
        symbols_.size() == 1 && symbols_[0] == id ? kIsWhole : kIsSplit, std::memory_order_relaxed);
}

void Bpe::Encoder::start(std::string_view word) {
  symbols_.clear();
  bool previous_is_unknown = false;
  for (const char c : word) {
    const std::int32_t id = bpe_.byte_ids_[static_cast<unsigned char>(c)];
    const bool is_unknown = id < 0;
    if (!is_unknown) {
      symbols_.push_back(id);
    } else if (bpe_.options_.unk_id >= 0 && !(previous_is_unknown && bpe_.options_.fuse_unk)) {
      symbols_.push_back(bpe_.options_.unk_id);
    }
    previous_is_unknown = is_unknown;
  }
}

void Bpe::Encoder::merge_short() {
  std::size_t count = symbols_.size();
  if (count < 2) return;
  ranks_.resize(count);
  merged_.resize(count);
  const auto look_up = [&](std::size_t i) {
    const Merge& merge = bpe_.find_merge(symbols_[i], symbols_[i + 1]);
    ranks_[i] = merge.rank;
    merged_[i] = merge.merged;
  };
  for (std::size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (ranks_[i] < ranks_[best]) best = i;
    if (ranks_[best] == kNoRank) break;
    symbols_[best] = merged_[best];
    --count;
    for (std::size_t i = best + 1; i < count; ++i) {
      symbols_[i] = symbols_[i + 1];
      ranks_[i] = ranks_[i + 1];
      merged_[i] = merged_[i + 1];
    }
    if (best + 1 < count) look_up(best);
    if (best > 0) look_up(best - 1);
  }
  symbols_.resize(count);
}

void Bpe::Encoder::push_candidate(std::int32_t position) {
  const auto at = static_cast<std::size_t>(position);
  const std::int32_t next = links_[at].next;
  if (next < 0) return;
  const std::int32_t left = links_[at].id;
  const std::int32_t right = links_[static_cast<std::size_t>(next)].id;
  const Merge& merge = bpe_.find_merge(left, right);
  if (merge.rank == kNoRank) return;
  heap_.push_back({merge.rank, static_cast<std::uint32_t>(position), left, right, merge.merged});
  std::push_heap(heap_.begin(), heap_.end(), [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  });
}

void Bpe::Encoder::merge_long() {
  const auto link = [this](std::int32_t i) -> Link& { return links_[static_cast<std::size_t>(i)]; };
  links_.clear();
  heap_.clear();
  const auto count = static_cast<std::int32_t>(symbols_.size());
  for (std::int32_t i = 0; i < count; ++i)
    links_.push_back({symbols_[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  for (std::int32_t i = 0; i + 1 < count; ++i) push_candidate(i);

  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), [](const Candidate& a, const Candidate& b) {
      return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
    });
    const Candidate best = heap_.back();
    heap_.pop_back();
    const auto position = static_cast<std::int32_t>(best.position);
    Link& left = link(position);
    // A candidate is stale once either of its symbols has been merged with another.
    if (left.id != best.left || left.next < 0 || link(left.next).id != best.right) continue;
    Link& right = link(left.next);
    left.id = best.merged;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) link(left.next).previous = position;
    if (left.previous >= 0) push_candidate(left.previous);
    push_candidate(position);
  }
  symbols_.clear();
  for (const Link& symbol : links_)
    if (symbol.id >= 0) symbols_.push_back(symbol.id);
}

}  // namespace bobby::detail
