#include "bot/novelty.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/hashing.h"
#include "voice/folded_words.h"

namespace bobby::bot {
namespace {

// What equal texts have in common: their words, or for a text without any, itself.
std::string key_of(std::string_view text) {
  std::string folded = folded_words(text);
  return folded.empty() ? "\x01" + std::string(text) : folded;
}

std::vector<std::uint32_t> shingles_of(const std::string& key) {
  return key.starts_with('\x01') ? std::vector<std::uint32_t>{} : shingles(key);
}

template <typename Visit>
void for_each_band(const std::vector<std::uint32_t>& set, const Visit& visit) {
  if (set.empty()) return;
  const Bands bands = min_hash_bands(set);
  for (std::size_t band = 0; band < kBands; ++band)
    visit(static_cast<std::uint64_t>(band) << 32 | bands[band]);
}

}  // namespace

std::string Source::to_string() const {
  constexpr std::array<std::string_view, 3> kKinds = {"archive post", "post", "draft"};
  return fmt::format("{} {}", kKinds[static_cast<std::size_t>(kind)], id);
}

std::string_view name_of(NoveltyKind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"new", "copied", "near", "exact"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string NoveltyReport::to_string() const {
  std::string text(name_of(kind));
  std::string_view joint = ": ";
  if (kind == NoveltyKind::kExact)
    text += fmt::format("{}the same as {}", joint, nearest.to_string());
  else if (score > 0)
    text += fmt::format("{}{:.2f} like {}", joint, score, nearest.to_string());
  if (score > 0) joint = "; ";
  if (ngram_words > 0)
    text += fmt::format("{}{} word{} in a row as in {}: \"{}\"", joint, ngram_words,
                        ngram_words == 1 ? "" : "s", ngram_source.to_string(), longest_ngram);
  return text;
}

void NoveltyIndex::add(Source source, std::string_view text) {
  const auto number = static_cast<std::uint32_t>(texts_.size());
  texts_.push_back({.source = std::move(source), .folded = key_of(text)});
  words_.add(text);
  const std::string& folded = texts_.back().folded;
  const std::uint64_t hash = text_hash(folded);
  const auto [begin, end] = by_hash_.equal_range(hash);
  const bool known = std::any_of(
      begin, end, [&](const auto& entry) { return texts_[entry.second].folded == folded; });
  by_hash_.emplace(hash, number);
  if (known) return;  // what is near it is near its equal
  for_each_band(shingles_of(folded), [&](std::uint64_t band) { by_band_.emplace(band, number); });
}

NoveltyReport NoveltyIndex::check(std::string_view text, const Source* self) const {
  NoveltyReport report;
  const std::string folded = key_of(text);
  find_exact(folded, self, report);
  if (report.kind != NoveltyKind::kExact) find_near(folded, self, report);

  const auto skip = [&](std::uint32_t number) { return self && texts_[number].source == *self; };
  CommonWords::Run run = words_.longest(text, skip);
  report.ngram_words = run.length;
  report.longest_ngram = std::move(run.words);
  if (run.length > 0) report.ngram_source = texts_[run.text].source;

  const bool copied = limits_.copied_words > 0 && run.length >= limits_.copied_words;
  if (report.kind == NoveltyKind::kNew && copied) report.kind = NoveltyKind::kCopied;
  return report;
}

void NoveltyIndex::find_exact(const std::string& folded, const Source* self,
                              NoveltyReport& report) const {
  const auto [begin, end] = by_hash_.equal_range(text_hash(folded));
  std::size_t first = texts_.size();
  for (auto entry = begin; entry != end; ++entry) {
    const Text& other = texts_[entry->second];
    if (other.folded != folded || (self && other.source == *self)) continue;
    first = std::min<std::size_t>(first, entry->second);
  }
  if (first == texts_.size()) return;
  report.kind = NoveltyKind::kExact;
  report.score = 1;
  report.nearest = texts_[first].source;
}

void NoveltyIndex::find_near(const std::string& folded, const Source* self,
                             NoveltyReport& report) const {
  const std::vector<std::uint32_t> set = shingles_of(folded);
  std::vector<std::uint32_t> candidates;
  for_each_band(set, [&](std::uint64_t band) {
    const auto [begin, end] = by_band_.equal_range(band);
    for (auto entry = begin; entry != end; ++entry) candidates.push_back(entry->second);
  });
  std::ranges::sort(candidates);
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  for (const std::uint32_t candidate : candidates) {
    const Text& other = texts_[candidate];
    if (self && other.source == *self) continue;
    const double score = similarity(set, shingles_of(other.folded));
    if (score <= report.score) continue;
    report.score = score;
    report.nearest = other.source;
  }
  if (limits_.near > 0 && report.score >= limits_.near) report.kind = NoveltyKind::kNear;
}

}  // namespace bobby::bot
