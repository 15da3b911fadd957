#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby {

/// The schedules of mlx.optimizers.schedulers that a config can name.
enum class ScheduleKind : std::uint8_t { kExponentialDecay, kStepDecay, kCosineDecay, kLinear };

/// lr_schedule of a training config. Its first argument is the rate it begins with, and the peak
/// that the warm-up leads to.
struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::kCosineDecay;
  /// As MLX takes them: exponential_decay(init, decay_rate), step_decay(init, decay_rate,
  /// step_size), cosine_decay(init, decay_steps, end = 0), linear_schedule(init, end, steps).
  std::vector<double> arguments;
  std::int64_t warmup = 0;  ///< optimizer steps of linear warm-up; 0: none
  double warmup_init = 0;   ///< the rate the warm-up begins with

  bool operator==(const ScheduleConfig&) const = default;
};

/// "cosine_decay" and so on, and back; nullopt for a name that MLX does not have.
std::string_view schedule_name(ScheduleKind kind);
std::optional<ScheduleKind> find_schedule(std::string_view name);

/// What is wrong with a schedule's arguments (their number, a step count below 1), in one clause
/// such as "takes 2 or 3 arguments, not 1"; "" when nothing is.
std::string check_schedule(const ScheduleConfig& config);

/// The learning rate by optimizer step, in fp32 as MLX computes it. Steps count updates from 0, not
/// iterations. With a warm-up of n steps the peak is used for steps n and n + 1 alike, as MLX does.
class LearningRate {
 public:
  explicit LearningRate(double constant);
  /// Precondition: check_schedule(config) is "".
  explicit LearningRate(ScheduleConfig config);

  float at(std::uint64_t step) const;

 private:
  float constant_ = 0;
  std::optional<ScheduleConfig> schedule_;
};

}  // namespace bobby
