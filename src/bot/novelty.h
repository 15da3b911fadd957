#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bot/common_words.h"
#include "voice/shingles.h"

namespace bobby::bot {

/// What a text is compared with.
enum class SourceKind { kArchive, kPost, kDraft };

/// A text that was there before: "archive post train.jsonl:17", "draft 12".
struct Source {
  SourceKind kind = SourceKind::kArchive;
  std::string id;
  std::string to_string() const;
  bool operator==(const Source&) const = default;
};

enum class NoveltyKind {
  kNew,
  kCopied,  ///< has so many words in a row in common with another that it is no longer its own
  kNear,    ///< says nearly the same
  kExact,   ///< the same but for case, accents, punctuation and links
};
std::string_view name_of(NoveltyKind kind);

struct NoveltyReport {
  NoveltyKind kind = NoveltyKind::kNew;
  /// Similarity to `nearest`, 0 to 1: shingles in common, as a share of all in either. 1 is exact.
  /// 0 also where no text is similar enough for MinHash to bring up (see min_hash_bands()).
  double score = 0;
  Source nearest;  ///< meaningful where score > 0
  /// The longest run of words that one other text has too, in folded form; empty: not even one.
  std::string longest_ngram;
  std::size_t ngram_words = 0;
  Source ngram_source;  ///< the first that has it; meaningful where ngram_words > 0
  /// "near: 0.83 like draft 12; 9 words in a row as in archive post train.jsonl:17: "...""
  std::string to_string() const;
};

struct NoveltyLimits {
  double near = 0.7;              ///< similarity from which a text is near; 0: none is
  std::size_t copied_words = 12;  ///< words in a row from which a text is copied; 0: none is
};

/// Texts there were before, and how a new one compares with them. A hundred thousand posts take
/// some 130 MB. Texts are UTF-8. Not for use from several threads at once while texts are added.
class NoveltyIndex {
 public:
  explicit NoveltyIndex(NoveltyLimits limits = {}) : limits_(limits) {}

  void add(Source source, std::string_view text);
  std::size_t size() const { return texts_.size(); }

  /// How `text` compares with the texts added. Where it is itself among them, as a draft that is
  /// looked at again, `self` names it, and it is left out.
  NoveltyReport check(std::string_view text, const Source* self = nullptr) const;

 private:
  struct Text {
    Source source;
    std::string folded;
  };
  void find_exact(const std::string& folded, const Source* self, NoveltyReport& report) const;
  void find_near(const std::string& folded, const Source* self, NoveltyReport& report) const;

  NoveltyLimits limits_;
  std::vector<Text> texts_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> by_hash_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> by_band_;
  CommonWords words_;
};

}  // namespace bobby::bot
