#include "fidelity/text_report.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace bobby::fidelity {

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t place = digits.size(); place > 3; place -= 3) digits.insert(place - 3, ",");
  return digits;
}

std::string percent(double share) {
  const double value = 100.0 * share;
  const double rest = std::abs(100.0 - value);
  if (rest == 0.0 || std::abs(value) >= 1000.0) return fmt::format("{:.0f} %", value);
  if (value != 0.0 && std::abs(value) < 0.01) return fmt::format("{:.1e} %", value);
  if (rest < 0.1) return fmt::format("{:.3f} %", value);
  if (rest < 1.0 || std::abs(value) < 1.0) return fmt::format("{:.2f} %", value);
  return fmt::format("{:.1f} %", value);
}

std::string brief(double number) {
  if (number == 0.0) return "0";
  if (std::abs(number) >= 1e-3 && std::abs(number) < 1e4) return fmt::format("{:.3g}", number);
  return fmt::format("{:.2e}", number);
}

std::string way_title(const Report& report, Way way) {
  switch (way) {
    case Way::kRuntime: return "at run time";
    case Way::kFused: return fmt::format("fused, {}", report.fused_type);
    case Way::kRequantized: return fmt::format("fused, {} again", report.requantized_type);
    case Way::kBaseRequantized:
      return fmt::format("beside a base, {} again", report.requantized_type);
    case Way::kNoAdapter: return "no adapter";
  }
  return "?";
}

std::vector<WayLine> way_lines(const Report& report) {
  std::vector<WayLine> lines;
  const auto count = static_cast<std::int64_t>(report.reference.size());
  const WayResult* none = report.find(Way::kNoAdapter);
  const double whole = none ? numbers_of(*none, report.reference).mean_divergence : 0.0;
  for (const WayResult& way : report.ways) {
    const WayNumbers numbers = numbers_of(way, report.reference);
    lines.push_back(
        {.way = way.way,
         .name = way_title(report, way.way),
         .divergence = brief(numbers.mean_divergence),
         .of_adapter = whole > 0.0 ? percent(numbers.mean_divergence / whole) : "-",
         .agreement = percent(numbers.top_agreement),
         .differs = fmt::format("{} of {}", grouped(numbers.top_differs), grouped(count)),
         .perplexity = fmt::format("{:.4g}", numbers.perplexity)});
  }
  return lines;
}

std::vector<ProjectionLine> projection_lines(const Report& report) {
  std::vector<ProjectionLine> lines;
  for (const ModuleKept& module : report.modules) {
    auto line = std::ranges::find(lines, module.projection, &ProjectionLine::projection);
    if (line == lines.end()) line = lines.insert(lines.end(), {.projection = module.projection});
    ++line->modules;
    line->fused += module.fused;
    line->requantized += module.requantized;
  }
  return lines;
}

std::vector<std::string> sentences(const Report& report) {
  std::vector<std::string> found;
  const DeltaKept fused = total_fused(report);
  const DeltaKept again = total_requantized(report);
  found.push_back(fmt::format("The adapter changes the weights that it adapts by {} of their size.",
                              percent(fused.relative_size())));
  const auto tell = [&](const std::string& name, const DeltaKept& kept) {
    found.push_back(fmt::format(
        "{}: {} of the change is left, beside rounding noise of {} of its size{}.", name,
        percent(kept.kept()), percent(kept.lost()), voice_lost(kept) ? ": voice lost" : ""));
  };
  tell("Fused, " + report.fused_type, fused);
  tell("Fused, " + report.requantized_type + " again", again);
  const WayResult* runtime = report.find(Way::kRuntime);
  if (runtime == nullptr || report.reference.empty()) return found;
  const WayNumbers numbers = numbers_of(*runtime, report.reference);
  found.push_back(fmt::format(
      "At run time the first token is the reference's at {} of the positions ({} differ).",
      percent(numbers.top_agreement), grouped(numbers.top_differs)));
  if (numbers.top_differs > 0)
    found.push_back(fmt::format(
        "Where it is not, the reference's first two tokens are at most {} nats apart; so close are "
        "they at {} of the positions.",
        brief(numbers.widest_margin), percent(report.share_below(numbers.widest_margin))));
  return found;
}

namespace {

std::string ways_table(const Report& report) {
  std::string text = fmt::format("\n{:<34}{:>12}{:>12}{:>12}{:>16}{:>12}\n", "", "mean KL",
                                 "of adapter", "same first", "differ", "perplexity");
  text += fmt::format("{:<34}{:>12}{:>12}{:>12}{:>16}{:>12}\n", "fp32 (the reference)", "-", "-",
                      "-", "-", fmt::format("{:.4g}", report.reference_perplexity()));
  for (const WayLine& line : way_lines(report))
    text += fmt::format("{:<34}{:>12}{:>12}{:>12}{:>16}{:>12}\n", line.name, line.divergence,
                        line.of_adapter, line.agreement, line.differs, line.perplexity);
  return text;
}

std::string kept_table(const Report& report) {
  std::string text = fmt::format("\n{:<24}{:>8}{:>12} |{:>12}{:>12} |{:>12}{:>12}\n", "", "", "",
                                 report.fused_type, "", report.requantized_type, "");
  text += fmt::format("{:<24}{:>8}{:>12} |{:>12}{:>12} |{:>12}{:>12}\n", "projection", "modules",
                      "change", "left", "noise", "left", "noise");
  const auto row = [&](const std::string& name, std::int64_t modules, const DeltaKept& fused,
                       const DeltaKept& again) {
    text += fmt::format("{:<24}{:>8}{:>12} |{:>12}{:>12} |{:>12}{:>12}\n", name, modules,
                        percent(fused.relative_size()), percent(fused.kept()),
                        percent(fused.lost()), percent(again.kept()), percent(again.lost()));
  };
  for (const ProjectionLine& line : projection_lines(report))
    row(line.projection, line.modules, line.fused, line.requantized);
  row("all", static_cast<std::int64_t>(report.modules.size()), total_fused(report),
      total_requantized(report));
  return text;
}

}  // namespace

std::string text_report(const Report& report) {
  std::string text = fmt::format("adapter  {} ({})\nbase     {} ({})\n", report.adapter,
                                 report.adapter_kind, report.model, report.model_kind);
  if (!report.reference.empty())
    text +=
        fmt::format("data     {}: {} of {} posts, {} positions\nruntime  {}\n", report.data,
                    report.sequences, report.sequences_of,
                    grouped(static_cast<std::int64_t>(report.reference.size())), report.runtime);
  if (!report.reference.empty()) text += ways_table(report);
  text += kept_table(report);
  text += "\n";
  for (const std::string& sentence : sentences(report)) text += sentence + "\n";
  return text;
}

}  // namespace bobby::fidelity
