#include "data/duplicates.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>

#include "base/hashing.h"
#include "voice/shingles.h"

namespace bobby::data {
namespace {

// A text's row in the file: its hash, then its bands; all zero bands: it has no words.
struct Row {
  std::uint64_t hash = 0;
  Bands bands{};
};
static_assert(sizeof(Row) == 72);

constexpr std::size_t kRowsAtOnce = 4096;
// Texts of one hash that are unlike each other: a text is compared with so many of them at most, so
// that texts made to collide cost no more than others.
constexpr std::size_t kMostLeaders = 64;

// The first of a group, whose members point towards it.
std::uint32_t first_of(std::vector<std::uint32_t>& groups, std::uint32_t text) {
  while (groups[text] != text) {
    groups[text] = groups[groups[text]];
    text = groups[text];
  }
  return text;
}

void join(std::vector<std::uint32_t>& groups, std::uint32_t a, std::uint32_t b) {
  const std::uint32_t first = first_of(groups, a);
  const std::uint32_t other = first_of(groups, b);
  groups[std::max(first, other)] = std::min(first, other);
}

template <typename Candidates, typename Visit>
Result<void> for_each_run(const Candidates& sorted, const Visit& visit) {
  for (auto begin = sorted.begin(); begin != sorted.end();) {
    auto end = begin;
    while (end != sorted.end() && end->hash == begin->hash) ++end;
    if (end - begin > 1) BOBBY_CHECK(visit(std::span(begin, end)));
    begin = end;
  }
  return {};
}

}  // namespace

Result<DuplicateFinder> DuplicateFinder::create(const std::filesystem::path& folder, double near) {
  BOBBY_TRY(TemporaryFile rows, TemporaryFile::create(folder));
  return DuplicateFinder(std::move(rows), near);
}

Result<void> DuplicateFinder::add(std::string_view text) {
  if (count_ >= std::numeric_limits<std::uint32_t>::max())
    return fail({.code = ErrorCode::kLimit, .problem = "there are too many posts to compare"});
  Row row;
  row.hash = text_hash(text);
  if (near_ > 0)
    if (const auto set = shingles(text); !set.empty()) row.bands = min_hash_bands(set);
  ++count_;
  return rows_.append({reinterpret_cast<const char*>(&row), sizeof(row)});
}

// Column 0 is the hash of the whole text, those behind it the bands; sorted.
Result<std::vector<DuplicateFinder::Candidate>> DuplicateFinder::column(std::size_t column) {
  std::vector<Candidate> candidates;
  candidates.reserve(count_);
  std::vector<Row> rows(kRowsAtOnce);
  for (std::size_t begin = 0; begin < count_; begin += kRowsAtOnce) {
    const std::size_t here = std::min(kRowsAtOnce, count_ - begin);
    BOBBY_CHECK(rows_.read(begin * sizeof(Row),
                           {reinterpret_cast<char*>(rows.data()), here * sizeof(Row)}));
    for (std::size_t i = 0; i < here; ++i) {
      const Row& row = rows[i];
      if (column > 0 && row.bands == Bands{}) continue;
      candidates.push_back({.hash = column == 0 ? row.hash : row.bands[column - 1],
                            .text = static_cast<std::uint32_t>(begin + i)});
    }
  }
  std::ranges::sort(candidates);
  return candidates;
}

Result<void> DuplicateFinder::join_equal(const TextOf& text_of, DuplicateGroups& groups) {
  BOBBY_TRY(const auto candidates, column(0));
  return for_each_run(candidates, [&](std::span<const Candidate> run) -> Result<void> {
    std::vector<std::pair<std::uint32_t, std::string>> leaders;
    for (const Candidate& candidate : run) {
      BOBBY_TRY(std::string text, text_of(candidate.text));
      const auto equal =
          std::ranges::find(leaders, text, &std::pair<std::uint32_t, std::string>::second);
      if (equal != leaders.end())
        groups.same[candidate.text] = equal->first;
      else if (leaders.size() < kMostLeaders)
        leaders.emplace_back(candidate.text, std::move(text));
    }
    return {};
  });
}

Result<void> DuplicateFinder::join_near(std::size_t band, const TextOf& text_of,
                                        DuplicateGroups& groups) {
  using Set = std::vector<std::uint32_t>;
  BOBBY_TRY(const auto candidates, column(band + 1));
  return for_each_run(candidates, [&](std::span<const Candidate> run) -> Result<void> {
    std::vector<std::pair<std::uint32_t, Set>> leaders;
    for (const Candidate& candidate : run) {
      if (groups.same[candidate.text] != candidate.text) continue;  // its equal is there
      const std::uint32_t group = first_of(groups.near, candidate.text);
      const bool known = std::ranges::any_of(leaders, [&](const auto& leader) {
        return first_of(groups.near, leader.first) == group;
      });
      if (known) continue;
      BOBBY_TRY(const std::string text, text_of(candidate.text));
      Set set = shingles(text);
      const auto alike = std::ranges::find_if(
          leaders, [&](const auto& leader) { return similarity(leader.second, set) >= near_; });
      if (alike != leaders.end())
        join(groups.near, alike->first, candidate.text);
      else if (leaders.size() < kMostLeaders)
        leaders.emplace_back(candidate.text, std::move(set));
    }
    return {};
  });
}

Result<DuplicateGroups> DuplicateFinder::groups(const TextOf& text_of, const ProgressFn& progress) {
  DuplicateGroups groups;
  groups.same.resize(count_);
  std::iota(groups.same.begin(), groups.same.end(), 0u);
  BOBBY_CHECK(join_equal(text_of, groups));
  groups.near = groups.same;
  if (near_ > 0)
    for (std::size_t band = 0; band < kBands; ++band) {
      if (progress) progress({.phase = "compare", .done = band, .total = kBands});
      BOBBY_CHECK(join_near(band, text_of, groups));
    }
  for (std::uint32_t text = 0; text < count_; ++text)
    groups.near[text] = first_of(groups.near, text);
  return groups;
}

}  // namespace bobby::data
