#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace bobby::detail {

/// Byte-pair encoding of one word: its bytes become tokens, then the neighbouring pair of lowest
/// rank (of equals the leftmost) is merged until no pair has a rank. Immutable after
/// add_merges(), and then thread-safe.
class Bpe {
 public:
  struct Options {
    std::int32_t unk_id = -1;    ///< for a byte that is no token; -1: such a byte is dropped
    bool fuse_unk = false;       ///< neighbouring unknown bytes become one unk_id
    bool ignore_merges = false;  ///< a word that is a token becomes it, whatever the merges say
  };

  Bpe(Vocabulary vocabulary, Options options);

  const Vocabulary& vocabulary() const { return vocabulary_; }

  struct NewMerge {
    std::int32_t left, right;
    std::int32_t merged;
  };
  /// All merges in order of rank; a later merge of the same pair replaces the earlier. Call once.
  void add_merges(std::span<const NewMerge> merges);

  class Encoder;

 private:
  struct Merge {
    std::uint64_t pair = kNoPair;
    std::uint32_t rank = kNoRank;
    std::int32_t merged = -1;
  };
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};
  static constexpr std::uint32_t kNoRank = ~std::uint32_t{0};

  static std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  /// The merge of the pair, or an empty slot.
  const Merge& find_merge(std::int32_t left, std::int32_t right) const;
  std::size_t first_slot(std::uint64_t pair) const;

  /// Whether a token's own bytes are encoded as that token: found out at the first use. Every
  /// thread finds the same answer, so relaxed reads and writes are enough.
  enum Whole : std::uint8_t { kUnknown, kIsWhole, kIsSplit };

  Vocabulary vocabulary_;
  Options options_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::vector<Merge> merges_;  ///< open addressing, a power of two
  std::unique_ptr<std::atomic<std::uint8_t>[]> whole_;
};

/// Encodes words with a Bpe, which must outlive it. One thread.
class Bpe::Encoder {
 public:
  explicit Encoder(const Bpe& bpe) : bpe_(bpe) {}
  /// Appends the ids of `word` (any bytes) to `ids`.
  void append(std::string_view word, std::vector<std::int32_t>& ids);

 private:
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t position;
    std::int32_t left, right, merged;
  };
  struct Link {
    std::int32_t id;  ///< -1: merged away
    std::int32_t previous, next;
  };

  void start(std::string_view word);
  void merge_short();
  void merge_long();
  void push_candidate(std::int32_t position);

  const Bpe& bpe_;
  std::vector<std::int32_t> symbols_;  ///< the word's ids so far
  std::vector<std::uint32_t> ranks_;   ///< of the pair that begins at each symbol
  std::vector<std::int32_t> merged_;   ///< what that pair becomes
  std::vector<Link> links_;
  std::vector<Candidate> heap_;
};

}  // namespace bobby::detail
