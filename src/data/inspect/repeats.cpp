#include "data/inspect/repeats.h"

#include <algorithm>
#include <optional>

#include "data/duplicates.h"

namespace bobby::inspection {
namespace {

constexpr double kNear = 0.8;          // what `bobby data import` takes unless told otherwise
constexpr std::size_t kExamples = 20;  // of each of: between splits, within one

// A record among those of all files, in their order.
struct Entry {
  RecordPlace place;
  std::string_view text;
};

// By record: the earliest before it that is its like.
using Likes = std::vector<std::optional<std::size_t>>;

struct AllLikes {
  Likes exact;
  Likes near;  // of those that are no one's exact like
};

bool says_nothing(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

Result<AllLikes> find_likes(const std::vector<Entry>& entries, const ProgressFn& progress) {
  std::error_code status;
  auto folder = std::filesystem::temp_directory_path(status);
  if (status) folder = ".";
  BOBBY_TRY(auto finder, data::DuplicateFinder::create(folder, kNear));
  std::vector<std::size_t> numbers;  // of the texts that were added
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (says_nothing(entries[i].text)) continue;
    BOBBY_CHECK(finder.add(entries[i].text));
    numbers.push_back(i);
  }
  const auto text_of = [&](std::size_t text) -> Result<std::string> {
    return std::string(entries[numbers[text]].text);
  };
  BOBBY_TRY(const data::DuplicateGroups groups, finder.groups(text_of, progress));
  AllLikes likes{Likes(entries.size()), Likes(entries.size())};
  for (std::size_t text = 0; text < numbers.size(); ++text) {
    if (groups.same[text] != text)
      likes.exact[numbers[text]] = numbers[groups.same[text]];
    else if (groups.near[text] != text)
      likes.near[numbers[text]] = numbers[groups.near[text]];
  }
  return likes;
}

Repeats summarize(const std::vector<Entry>& entries, const Likes& likes, std::size_t splits) {
  Repeats repeats;
  repeats.within.assign(splits, 0);
  repeats.between.assign(splits, std::vector<std::int64_t>(splits, 0));
  std::vector<RepeatPair> within;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!likes[i]) continue;
    const Entry& earlier = entries[*likes[i]];
    const Entry& later = entries[i];
    const bool same = earlier.place.split == later.place.split;
    ++(same ? repeats.within[later.place.split]
            : repeats.between[later.place.split][earlier.place.split]);
    std::vector<RepeatPair>& examples = same ? within : repeats.examples;
    if (examples.size() < kExamples)
      examples.push_back(
          {earlier.place, later.place, std::string(earlier.text), std::string(later.text)});
  }
  std::ranges::move(within, std::back_inserter(repeats.examples));
  return repeats;
}

}  // namespace

Result<AllRepeats> find_repeats(const std::vector<DataFile>& files, const ProgressFn& progress) {
  std::vector<Entry> entries;
  for (std::size_t split = 0; split < files.size(); ++split)
    for (const DataRecord& record : files[split].records)
      entries.push_back({{split, record.line}, record.answer()});
  BOBBY_TRY(const AllLikes likes, find_likes(entries, progress));
  return AllRepeats{summarize(entries, likes.exact, files.size()),
                    summarize(entries, likes.near, files.size())};
}

}  // namespace bobby::inspection
