#include "training/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <numbers>
#include <utility>

namespace bobby {
namespace {

struct Known {
  ScheduleKind kind;
  std::string_view name;
  std::size_t least, most;  ///< arguments
  std::size_t steps;        ///< the argument that counts steps, or none of them
};

constexpr std::size_t kNoSteps = 99;
constexpr std::array<Known, 4> kKnown = {{
    {ScheduleKind::kExponentialDecay, "exponential_decay", 2, 2, kNoSteps},
    {ScheduleKind::kStepDecay, "step_decay", 3, 3, 2},
    {ScheduleKind::kCosineDecay, "cosine_decay", 2, 3, 1},
    {ScheduleKind::kLinear, "linear_schedule", 3, 3, 2},
}};

const Known& known(ScheduleKind kind) {
  return *std::ranges::find(kKnown, kind, &Known::kind);
}

float as_float(double value) {
  return static_cast<float>(value);
}

// init + step * (end - init) / steps, held at `steps`.
float linear(double init, double end, double steps, std::uint64_t step) {
  const float at = std::min(static_cast<float>(step), as_float(steps));
  return at * as_float((end - init) / steps) + as_float(init);
}

float cosine(double init, double steps, double end, std::uint64_t step) {
  const float at = std::min(static_cast<float>(step), as_float(steps));
  const float decay = 0.5f * (1.0f + std::cos(as_float(std::numbers::pi / steps) * at));
  return as_float(end) + decay * as_float(init - end);
}

float decayed(const ScheduleConfig& config, std::uint64_t step) {
  const std::vector<double>& a = config.arguments;
  switch (config.kind) {
    case ScheduleKind::kExponentialDecay:
      return as_float(a[0]) * std::pow(as_float(a[1]), static_cast<float>(step));
    case ScheduleKind::kStepDecay:
      return as_float(a[0]) *
             std::pow(as_float(a[1]),
                      static_cast<float>(std::floor(static_cast<double>(step) / a[2])));
    case ScheduleKind::kCosineDecay: return cosine(a[0], a[1], a.size() > 2 ? a[2] : 0.0, step);
    case ScheduleKind::kLinear: return linear(a[0], a[1], a[2], step);
  }
  return 0;
}

}  // namespace

std::string_view schedule_name(ScheduleKind kind) {
  return known(kind).name;
}

std::optional<ScheduleKind> find_schedule(std::string_view name) {
  const auto* found = std::ranges::find(kKnown, name, &Known::name);
  return found == kKnown.end() ? std::nullopt : std::optional(found->kind);
}

std::string check_schedule(const ScheduleConfig& config) {
  const Known& schedule = known(config.kind);
  const std::size_t count = config.arguments.size();
  if (count < schedule.least || count > schedule.most)
    return schedule.least == schedule.most
               ? fmt::format("takes {} arguments, not {}", schedule.least, count)
               : fmt::format("takes {} or {} arguments, not {}", schedule.least, schedule.most,
                             count);
  for (const double argument : config.arguments)
    if (!std::isfinite(argument)) return "has an argument that is not finite";
  if (schedule.steps != kNoSteps && !(config.arguments[schedule.steps] >= 1))
    return fmt::format("has argument {} below 1: it is a number of steps", schedule.steps + 1);
  if (config.warmup < 0) return "has a negative warmup";
  return "";
}

LearningRate::LearningRate(double constant) : constant_(as_float(constant)) {}

LearningRate::LearningRate(ScheduleConfig config) : schedule_(std::move(config)) {}

float LearningRate::at(std::uint64_t step) const {
  if (!schedule_) return constant_;
  const auto warmup = static_cast<std::uint64_t>(schedule_->warmup);
  if (warmup == 0) return decayed(*schedule_, step);
  if (step <= warmup)
    return linear(schedule_->warmup_init, schedule_->arguments[0], static_cast<double>(warmup),
                  step);
  return decayed(*schedule_, step - warmup - 1);
}

}  // namespace bobby
