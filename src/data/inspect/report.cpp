#include "data/inspect/report.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace bobby::inspection {

std::int64_t Repeats::total_within() const {
  return std::accumulate(within.begin(), within.end(), std::int64_t{0});
}

std::int64_t Repeats::total_between() const {
  std::int64_t total = 0;
  for (const auto& row : between) total = std::accumulate(row.begin(), row.end(), total);
  return total;
}

std::int64_t TextCount::total() const {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

std::int64_t Manifest::copies() const {
  std::int64_t total = 0;
  for (const ManifestSource& source : sources)
    if (source.train_records > source.train_posts)
      total += static_cast<std::int64_t>(source.train_records - source.train_posts);
  return total;
}

std::int64_t Report::records() const {
  std::int64_t total = 0;
  for (const SplitReport& split : splits) total += split.records;
  return total;
}

std::int64_t Report::asked_repeats() const {
  for (std::size_t split = 0; split < splits.size(); ++split)
    if (splits[split].name == "train" && manifest)
      return std::min(manifest->copies(), exact.within[split]);
  return 0;
}

std::string Report::place_text(const RecordPlace& place) const {
  return fmt::format("{}:{}", splits[place.split].file, place.line);
}

}  // namespace bobby::inspection
