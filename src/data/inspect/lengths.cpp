#include "data/inspect/lengths.h"

#include <algorithm>

namespace bobby::inspection {
namespace {

constexpr std::int64_t kPadTo = 32;  // mlx-lm's

// Positions of a sequence of `length` tokens that is cut at `max_seq_length`.
std::int64_t positions(std::int64_t length, std::int64_t max_seq_length) {
  return std::max<std::int64_t>(std::min(length, max_seq_length) - 1, 0);
}

}  // namespace

std::int64_t round_step(std::int64_t least) {
  for (std::int64_t power = 1;; power *= 10)
    for (const std::int64_t step : {1, 2, 5})
      if (step * power >= least) return step * power;
}

Distribution describe(std::vector<std::int64_t> numbers) {
  Distribution found;
  if (numbers.empty()) return found;
  std::ranges::sort(numbers);
  found.count = static_cast<std::int64_t>(numbers.size());
  for (const std::int64_t number : numbers) found.total += number;
  found.least = numbers.front();
  found.most = numbers.back();
  found.mean = static_cast<double>(found.total) / static_cast<double>(found.count);
  for (const std::int64_t percent : kQuantiles) {
    const std::int64_t rank = (found.count * percent + 99) / 100;
    found.quantiles.push_back(numbers[static_cast<std::size_t>(rank - 1)]);
  }
  return found;
}

Histogram make_histogram(std::span<const std::vector<std::int64_t>> sets, std::size_t most_bins,
                         std::optional<std::int64_t> mark) {
  std::vector<std::int64_t> all;
  for (const auto& set : sets) all.insert(all.end(), set.begin(), set.end());
  const Distribution whole = describe(all);
  std::int64_t reach = whole.most;
  if (!all.empty()) {
    const std::int64_t common = whole.quantiles.back() + whole.quantiles.back() / 4;
    if (mark && *mark < reach)
      reach = std::min(reach, std::max(common, *mark + *mark / 4));
    else
      reach = std::min(reach, common);
  }
  const auto most = static_cast<std::int64_t>(most_bins);
  Histogram histogram;
  histogram.bin_width = round_step((reach + most) / most);
  const auto bins = static_cast<std::size_t>(reach / histogram.bin_width + 1);
  histogram.open = whole.most >= histogram.from(bins);
  histogram.counts.assign(sets.size(), std::vector<std::int64_t>(bins, 0));
  for (std::size_t set = 0; set < sets.size(); ++set)
    for (const std::int64_t number : sets[set]) {
      const auto bin = static_cast<std::size_t>(number / histogram.bin_width);
      ++histogram.counts[set][std::min(bin, bins - 1)];
    }
  return histogram;
}

BatchCost padded_cost(std::span<const std::int64_t> lengths, std::int64_t batch_size,
                      std::int64_t max_seq_length) {
  BatchCost cost{.batch_size = batch_size};
  while (!lengths.empty()) {
    const auto batch =
        lengths.first(std::min(lengths.size(), static_cast<std::size_t>(batch_size)));
    lengths = lengths.subspan(batch.size());
    const std::int64_t longest = std::ranges::max(batch);
    const std::int64_t width =
        std::min((longest + kPadTo - 1) / kPadTo * kPadTo, max_seq_length - 1);
    cost.computed += width * static_cast<std::int64_t>(batch.size());
    for (const std::int64_t length : batch) cost.used += positions(length, max_seq_length);
  }
  return cost;
}

}  // namespace bobby::inspection
