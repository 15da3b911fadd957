#include "fidelity/report.h"

#include <algorithm>
#include <cmath>

namespace bobby::fidelity {

std::string_view way_name(Way way) {
  switch (way) {
    case Way::kRuntime: return "runtime";
    case Way::kFused: return "fused";
    case Way::kRequantized: return "requantized";
    case Way::kBaseRequantized: return "base_requantized";
    case Way::kNoAdapter: return "no_adapter";
  }
  return "?";
}

double Report::reference_perplexity() const {
  if (reference.empty()) return 0.0;
  double sum = 0.0;
  for (const ReferenceRow& row : reference) sum += row.loss;
  return std::exp(sum / static_cast<double>(reference.size()));
}

double Report::share_below(double margin) const {
  if (reference.empty()) return 0.0;
  const auto below = std::ranges::count_if(
      reference, [&](const ReferenceRow& row) { return row.margin < margin; });
  return static_cast<double>(below) / static_cast<double>(reference.size());
}

const WayResult* Report::find(Way way) const {
  const auto found = std::ranges::find(ways, way, &WayResult::way);
  return found == ways.end() ? nullptr : &*found;
}

WayNumbers numbers_of(const WayResult& result, const std::vector<ReferenceRow>& reference) {
  WayNumbers numbers;
  const std::size_t count = result.rows.size();
  if (count == 0) return numbers;
  std::vector<double> divergences;
  double loss = 0.0;
  double divergence = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    const WayRow& row = result.rows[i];
    divergences.push_back(row.divergence);
    divergence += row.divergence;
    loss += row.loss;
    if (row.same_top) continue;
    ++numbers.top_differs;
    numbers.widest_margin = std::max(numbers.widest_margin, reference[i].margin);
  }
  std::ranges::sort(divergences);
  const auto quantile = [&](double share) {
    return divergences[static_cast<std::size_t>(share * static_cast<double>(count - 1))];
  };
  numbers.mean_divergence = divergence / static_cast<double>(count);
  numbers.p50_divergence = quantile(0.5);
  numbers.p99_divergence = quantile(0.99);
  numbers.max_divergence = divergences.back();
  numbers.perplexity = std::exp(loss / static_cast<double>(count));
  numbers.top_agreement =
      1.0 - static_cast<double>(numbers.top_differs) / static_cast<double>(count);
  return numbers;
}

DeltaKept total_fused(const Report& report) {
  DeltaKept total;
  for (const ModuleKept& module : report.modules) total += module.fused;
  return total;
}

DeltaKept total_requantized(const Report& report) {
  DeltaKept total;
  for (const ModuleKept& module : report.modules) total += module.requantized;
  return total;
}

}  // namespace bobby::fidelity
