#pragma once

#include <string>
#include <vector>

#include "fidelity/report.h"

namespace bobby::fidelity {

/// A way for a table: what it is, and its numbers as they are written.
struct WayLine {
  Way way = Way::kRuntime;
  std::string name;
  std::string divergence;  ///< mean KL, nats
  std::string of_adapter;  ///< mean KL as a share of the KL that the whole adapter makes
  std::string agreement;   ///< "99.96 %"
  std::string differs;     ///< "1 of 2,310"
  std::string perplexity;  ///< "26.41"
};
std::vector<WayLine> way_lines(const Report& report);
/// "runtime LoRA", "fused, bfloat16", "fused, 4-bit group 64 again", ...
std::string way_title(const Report& report, Way way);

/// Modules of one projection over all blocks.
struct ProjectionLine {
  std::string projection;
  std::int64_t modules = 0;
  DeltaKept fused = {};
  DeltaKept requantized = {};
};
std::vector<ProjectionLine> projection_lines(const Report& report);

/// In whole sentences: what is kept and what is lost.
std::vector<std::string> sentences(const Report& report);

/// "12,345"; "12.3 %", with more digits near 100; a number with three digits that count.
std::string grouped(std::int64_t number);
std::string percent(double share);
std::string brief(double number);

/// The report for a terminal or a pipe.
std::string text_report(const Report& report);

}  // namespace bobby::fidelity
