#include "data/selection.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "data/draws.h"

namespace bobby::data {
namespace {

// Posts are kept for validation in the order of what their group drew, until there are enough.
std::vector<bool> validation_posts(std::span<const ChosenPost> posts,
                                   const SelectionOptions& options) {
  std::vector<bool> valid(posts.size());
  if (posts.empty() || options.valid <= 0) return valid;
  const auto count = static_cast<double>(posts.size());
  const double asked = options.valid < 1 ? options.valid * count : options.valid;
  const auto wanted = static_cast<std::size_t>(std::clamp(std::round(asked), 1.0, count));

  std::vector<std::uint32_t> order(posts.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::uint32_t i) { return std::tuple(posts[i].group, i); });
  struct Group {
    double drawn;
    std::size_t begin, end;
  };
  std::vector<Group> groups;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && posts[order[end]].group == posts[order[begin]].group) ++end;
    groups.push_back({draw(options.seed, Draw::kSplit, posts[order[begin]].hash), begin, end});
    begin = end;
  }
  std::ranges::sort(groups, {},
                    [](const Group& group) { return std::tuple(group.drawn, group.begin); });
  std::size_t taken = 0;
  for (std::size_t i = 0; i + 1 < groups.size() && taken < wanted; ++i)
    for (std::size_t member = groups[i].begin; member < groups[i].end; ++member, ++taken)
      valid[order[member]] = true;
  return valid;
}

std::uint32_t copies_of(const ChosenPost& post, std::uint64_t seed) {
  const double whole = std::floor(post.weight);
  const bool one_more = draw(seed, Draw::kCopies, post.hash) < post.weight - whole;
  return static_cast<std::uint32_t>(whole) + (one_more ? 1 : 0);
}

void put_in_drawn_order(std::vector<Record>& records, std::span<const ChosenPost> posts,
                        std::uint64_t seed) {
  std::vector<std::pair<double, Record>> drawn;
  drawn.reserve(records.size());
  for (const Record& record : records)
    drawn.emplace_back(draw(seed, Draw::kOrder, posts[record.chosen].hash, record.copy), record);
  std::ranges::sort(drawn, {}, [](const auto& entry) {
    return std::tuple(entry.first, entry.second.chosen, entry.second.copy);
  });
  std::ranges::transform(drawn, records.begin(), [](const auto& entry) { return entry.second; });
}

}  // namespace

Selection select_records(std::span<const ChosenPost> posts, const SelectionOptions& options) {
  Selection selection;
  const std::vector<bool> valid = validation_posts(posts, options);
  for (std::uint32_t i = 0; i < posts.size(); ++i) {
    if (valid[i]) {
      selection.valid.push_back({.chosen = i, .copy = 0});
      continue;
    }
    const std::uint32_t copies = copies_of(posts[i], options.seed);
    for (std::uint32_t copy = 0; copy < copies; ++copy)
      selection.train.push_back({.chosen = i, .copy = copy});
  }
  put_in_drawn_order(selection.train, posts, options.seed);
  put_in_drawn_order(selection.valid, posts, options.seed);
  return selection;
}

}  // namespace bobby::data
