// One step of a run: mlx-lm's way, and ours.

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "training/host_blocks.h"
#include "training/training_loop.h"

namespace bobby {
namespace {

/// Divides all of a kind of numbers, and finds the first tensor with one that is not finite.
const TrainableTensor* divide(std::span<TrainableTensor> tensors,
                              std::vector<float> TrainableTensor::*kind, float divisor) {
  std::vector<char> bad(tensors.size());
  for_host_blocks(static_cast<std::int64_t>(tensors.size()), 1, [&](auto begin, auto end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      std::vector<float>& numbers = tensors[i].*kind;
      if (divisor != 1.0f)
        for (float& number : numbers) number /= divisor;
      unsigned found = 0;  // counted without branches
      for (const float number : numbers) found |= static_cast<unsigned>(!std::isfinite(number));
      bad[i] = static_cast<char>(found);
    }
  });
  const auto first = std::ranges::find(bad, 1);
  return first == bad.end() ? nullptr : &tensors[static_cast<std::size_t>(first - bad.begin())];
}

}  // namespace

std::vector<ParameterUpdate> parameter_updates(std::span<TrainableTensor> tensors) {
  std::vector<ParameterUpdate> updates;
  for (TrainableTensor& tensor : tensors)
    updates.push_back({.name = tensor.name,
                       .value = tensor.value,
                       .gradient = tensor.gradient,
                       .rows = tensor.rows,
                       .cols = tensor.cols,
                       .matrix = !tensor.name.ends_with(".m")});
  return updates;
}

// mlx_lm.lora's iteration: fetch the batch, validate if that is due, add the gradient of the
// batch's mean loss, and every grad_accumulation_steps of them make an update.
Result<void> TrainingLoop::compat_iteration() {
  const TrainingConfig& config = *parts_.run.config;
  const std::int64_t iteration = at_ + 1;
  const Batch batch = parts_.order->next_training();
  const bool due = validates() && (iteration == 1 || iteration % config.steps_per_eval == 0 ||
                                   iteration == parts_.iterations);
  if (due) {
    const std::vector<Batch> batches = parts_.order->next_validation(config.val_batches);
    if (!replaying() && parts_.state.validated_at != at_) {
      BOBBY_CHECK(validate(batches, iteration));
      if (cancelled()) return {};  // at_ is where it was: the iteration is run when resumed
    }
  }
  const auto begin = Clock::now();
  step_places_.insert(step_places_.end(), batch.begin(), batch.end());
  BOBBY_TRY(const BatchLoss loss, micro_.gradients(batch, updates_));
  BOBBY_CHECK(check_finite(loss, batch));
  const bool replayed = replaying();
  at_ = iteration;
  if (replayed) return {};
  if (iteration % config.grad_accumulation_steps == 0)
    BOBBY_CHECK(update(static_cast<float>(config.grad_accumulation_steps)));
  parts_.state.iteration = iteration;
  count(loss, loss.mean(), 1.0);
  const double seconds = seconds_since(begin);
  report_seconds_ += seconds;
  run_seconds_ += seconds;
  return {};
}

// Ours: the batches of a step run together, and their summed loss is divided by all their tokens.
// The last step of a run may have fewer.
Result<void> TrainingLoop::group() {
  const TrainingConfig& config = *parts_.run.config;
  const auto begin = Clock::now();
  const std::int64_t batches = std::min(config.grad_accumulation_steps, parts_.iterations - at_);
  step_places_.clear();
  for (std::int64_t i = 0; i < batches; ++i) {
    const Batch batch = parts_.order->next_training();
    step_places_.insert(step_places_.end(), batch.begin(), batch.end());
  }
  BOBBY_TRY(const BatchLoss loss, micro_.gradients(step_places_, updates_));
  BOBBY_CHECK(check_finite(loss, step_places_));
  at_ += batches;
  BOBBY_CHECK(update(static_cast<float>(loss.tokens)));
  parts_.state.iteration = at_;
  count(loss, loss.sum, static_cast<double>(loss.tokens));
  const double seconds = seconds_since(begin);
  report_seconds_ += seconds;
  run_seconds_ += seconds;
  return {};
}

// The gradients, divided, move the parameters.
Result<void> TrainingLoop::update(float divisor) {
  BOBBY_CHECK(parts_.run.network->download_gradients());
  std::vector<TrainableTensor>& tensors = parts_.run.network->tensors();
  std::vector<std::span<float>> gradients;
  if (divide(tensors, &TrainableTensor::gradient, divisor))
    return fail(not_finite(step_places_, "gradient"));
  for (TrainableTensor& tensor : tensors) gradients.emplace_back(tensor.gradient);
  if (parts_.run.config->max_grad_norm)
    clip_gradient_norm(gradients, *parts_.run.config->max_grad_norm);
  parts_.optimizer->step(rate_.at(updates_), parameter_updates(tensors));
  ++updates_;
  if (const TrainableTensor* bad = divide(tensors, &TrainableTensor::value, 1.0f))
    return fail({.code = ErrorCode::kNumeric,
                 .where = bad->name,
                 .problem = fmt::format("is not finite after optimizer step {}", updates_),
                 .hint = "lower learning_rate"});
  BOBBY_CHECK(parts_.run.network->upload());
  parts_.run.network->zero_gradients();
  step_places_.clear();
  parts_.state.update_at = at_;
  parts_.state.update_position = parts_.order->position();
  return {};
}

void TrainingLoop::count(const BatchLoss& loss, double pending_loss, double pending_count) {
  TrainingState& state = parts_.state;
  state.tokens += loss.tokens;
  state.pending_tokens += loss.tokens;
  state.pending_loss += pending_loss;
  state.pending_count += pending_count;
  run_tokens_ += loss.tokens;
  const double mean = loss.mean();
  recent_loss_ = recent_loss_ ? 0.9 * *recent_loss_ + 0.1 * mean : mean;
}

Result<void> TrainingLoop::check_finite(const BatchLoss& loss,
                                        std::span<const std::int64_t> places) {
  if (std::isfinite(loss.sum) && loss.tokens > 0) return {};
  if (loss.not_finite.empty()) return fail(not_finite({places.begin(), places.end()}, "loss"));
  return fail(not_finite(loss.not_finite, "loss"));
}

// The state is that of before the step: it is saved, so that the run can go on from there.
Error TrainingLoop::not_finite(std::vector<std::int64_t> places, std::string_view what) {
  constexpr std::size_t kMostNamed = 8;
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  std::string names;
  for (std::size_t i = 0; i < std::min(places.size(), kMostNamed); ++i)
    names += fmt::format("{}{}", i == 0 ? "" : ", ", record_name(*parts_.run.data, places[i]));
  if (places.size() > kMostNamed) names += fmt::format(" and {} more", places.size() - kMostNamed);
  Error error{.code = ErrorCode::kNumeric,
              .where = std::move(names),
              .problem = fmt::format("the {} of {} is not finite at iteration {}", what,
                                     places.size() == 1 ? "this record" : "these records",
                                     parts_.state.iteration + 1),
              .hint = {}};
  const auto saved = save();
  error.hint =
      fmt::format("lower learning_rate or leave {} out; the state of iteration {} {}",
                  places.size() == 1 ? "it" : "them", parts_.state.iteration,
                  saved ? fmt::format("is in {}", (parts_.run.folder / kLastFolder).string())
                        : fmt::format("could not be saved: {}", saved.error().to_string()));
  return error;
}

}  // namespace bobby
