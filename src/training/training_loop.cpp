#include "training/training_loop.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <utility>

#include "training/adapter_writer.h"

namespace bobby {
namespace {

LearningRate rate_of(const TrainingConfig& config) {
  return learning_rate_of(config);
}

MicroBatchOptions micro_options(const TrainingRun& run) {
  return {.compat_mlx = run.config->compat_mlx,
          .max_seq_length = run.config->max_seq_length,
          .pack_tokens = run.config->packing ? run.pack_tokens : 0};
}

// Validation records follow the training records.
std::vector<std::int64_t> places_of(const Batch& batch, std::int64_t first) {
  std::vector<std::int64_t> places;
  for (const std::int64_t index : batch) places.push_back(first + index);
  return places;
}

}  // namespace

TrainingLoop::TrainingLoop(LoopParts parts)
    : parts_(std::move(parts)),
      rate_(rate_of(*parts_.run.config)),
      micro_(*parts_.run.network, *parts_.run.data, micro_options(parts_.run)),
      updates_(parts_.optimizer->state().step),
      at_(parts_.state.update_at),
      first_(parts_.state.update_at) {}

Result<TrainingOutcome> TrainingLoop::run() {
  auto done = loop();
  if (done) done = is_complete() ? finish() : save();
  // What was saved before is whole: say where.
  if (!done && done.error().code == ErrorCode::kIo) {
    Error error = std::move(done).error();
    error.hint =
        fmt::format("{}{}the latest checkpoint, {}, is whole: `bobby train --resume {}`",
                    error.hint, error.hint.empty() ? "" : "; ",
                    (parts_.run.folder / kLastFolder).string(), parts_.run.folder.string());
    return fail(std::move(error));
  }
  BOBBY_CHECK(std::move(done));
  TrainingOutcome outcome;
  if (stops_early()) outcome.end = TrainingOutcome::End::kEarlyStop;
  if (!parts_.state.finished) outcome.end = TrainingOutcome::End::kCancelled;
  outcome.iterations = parts_.state.iteration;
  outcome.updates = updates_;
  outcome.tokens = parts_.state.tokens;
  outcome.start_val_loss = parts_.state.start_val_loss;
  outcome.best_val_loss = parts_.state.best_val_loss;
  outcome.best_iteration = parts_.state.best_iteration;
  outcome.holds_best = holds_best();
  if (parts_.state.finished) {
    BOBBY_TRY(outcome.test_loss, test());
  }
  return outcome;
}

Result<void> TrainingLoop::loop() {
  TrainingState& state = parts_.state;
  while ((state.iteration < parts_.iterations || replaying()) && !stops_early()) {
    if (cancelled()) return {};
    if (validation_is_due()) {
      BOBBY_CHECK(validate(validation_batches(), state.iteration));
      BOBBY_CHECK(save());  // a validation is worth keeping
      continue;
    }
    const std::int64_t before = at_;
    const bool replayed = replaying();
    BOBBY_CHECK(compat() ? compat_iteration() : group());
    if (replayed || at_ == before) continue;
    show_progress("training", state.iteration, parts_.iterations);
    BOBBY_CHECK(report_if_due(before));
    BOBBY_CHECK(save_if_due(before));
  }
  if (!lacks_last_validation()) return {};
  return validate(validation_batches(), state.iteration);
}

// Ours looks at the base alone before it begins, then whenever steps_per_eval iterations are full;
// mlx-lm does so within its iterations.
bool TrainingLoop::validation_is_due() const {
  const std::int64_t every = parts_.run.config->steps_per_eval;
  const std::int64_t last = parts_.state.validated_at;
  return !compat() && validates() && (last < 0 || at_ / every > last / every);
}

// Ours ends with a validation of what it ends with.
bool TrainingLoop::lacks_last_validation() const {
  return !compat() && validates() && parts_.state.validated_at != at_;
}

bool TrainingLoop::is_complete() const {
  const bool ended = parts_.state.iteration >= parts_.iterations || stops_early();
  return ended && !replaying() && !lacks_last_validation();
}

std::vector<Batch> TrainingLoop::validation_batches() {
  return parts_.order->next_validation(parts_.run.config->val_batches);
}

Result<void> TrainingLoop::validate(std::span<const Batch> batches, std::int64_t iteration) {
  const auto begin = Clock::now();
  BatchLoss total;
  std::int64_t done = 0;
  for (const Batch& batch : batches) {
    if (cancelled()) return {};
    const auto places = places_of(batch, parts_.run.data->validation_begin());
    BOBBY_TRY(const BatchLoss loss, micro_.loss(places));
    if (!std::isfinite(loss.sum))
      return fail(
          not_finite(loss.not_finite.empty() ? places : loss.not_finite, "validation loss"));
    total.sum += loss.sum;
    total.tokens += loss.tokens;
    show_progress("validation", ++done, static_cast<std::int64_t>(batches.size()));
  }
  parts_.state.validated_at = at_;
  if (total.tokens == 0) return {};
  MetricsRow row;
  row.iteration = iteration;
  row.val_loss = total.mean();
  row.tokens = parts_.state.tokens;
  row.learning_rate = learning_rate();
  row.tok_s = static_cast<double>(total.tokens) / std::max(seconds_since(begin), 1e-9);
  BOBBY_CHECK(parts_.files.metrics().add(row));
  if (parts_.watch.on_report) parts_.watch.on_report(row);
  BOBBY_CHECK(judge(*row.val_loss));
  return sample(iteration);
}

// Keeps the best adapter, and counts validations that were no better.
Result<void> TrainingLoop::judge(double val_loss) {
  TrainingState& state = parts_.state;
  if (updates_ == 0) {
    state.start_val_loss = val_loss;
    return {};
  }
  const auto& early = parts_.run.config->early_stopping;
  const double least = early ? early->min_delta : 0.0;
  if (!state.patience_val_loss || val_loss < *state.patience_val_loss - least) {
    state.patience_val_loss = val_loss;
    state.worse_validations = 0;
  } else {
    ++state.worse_validations;
  }
  if (state.best_val_loss && val_loss >= *state.best_val_loss) return {};
  state.best_val_loss = val_loss;
  state.best_iteration = at_;
  BOBBY_CHECK(parts_.files.write_best(parts_.run.network->tensors()));
  if (!compat()) BOBBY_CHECK(parts_.files.write_adapter(parts_.run.network->tensors()));
  return {};
}

// A voice that cannot be heard on the way is no reason to stop.
Result<void> TrainingLoop::sample(std::int64_t iteration) {
  if (!parts_.watch.write_samples) return {};
  const auto samples = parts_.watch.write_samples(iteration, parts_.run.network->tensors());
  if (!samples) {
    if (parts_.watch.on_note)
      parts_.watch.on_note(
          fmt::format("no samples at iteration {}: {}", iteration, samples.error().to_string()));
    return {};
  }
  for (const SampleText& text : *samples) {
    BOBBY_CHECK(parts_.files.metrics().add(text));
    if (parts_.watch.on_sample) parts_.watch.on_sample(text);
  }
  return {};
}

bool TrainingLoop::is_due(std::int64_t before, std::int64_t every) const {
  return parts_.state.iteration / every != before / every;
}

bool TrainingLoop::stops_early() const {
  const auto& early = parts_.run.config->early_stopping;
  return early && parts_.state.worse_validations >= early->patience;
}

// As mlx-lm tells it: the rate of the latest update.
float TrainingLoop::learning_rate() const {
  return rate_.at(updates_ > 0 ? updates_ - 1 : 0);
}

Result<void> TrainingLoop::report_if_due(std::int64_t before) {
  TrainingState& state = parts_.state;
  const bool last = state.iteration >= parts_.iterations;
  if (!last && !is_due(before, parts_.run.config->steps_per_report)) return {};
  MetricsRow row;
  row.iteration = state.iteration;
  row.train_loss = state.pending_loss / state.pending_count;
  row.tokens = state.tokens;
  row.learning_rate = learning_rate();
  row.tok_s = static_cast<double>(state.pending_tokens) / std::max(report_seconds_, 1e-9);
  state.pending_loss = state.pending_count = 0.0;
  state.pending_tokens = 0;
  report_seconds_ = 0.0;
  BOBBY_CHECK(parts_.files.metrics().add(row));
  if (parts_.watch.on_report) parts_.watch.on_report(row);
  return {};
}

Result<void> TrainingLoop::save_if_due(std::int64_t before) {
  if (!is_due(before, parts_.run.config->save_every)) return {};
  const auto& tensors = parts_.run.network->tensors();
  BOBBY_CHECK(parts_.files.write_numbered(parts_.state.iteration, tensors));
  if (!holds_best()) BOBBY_CHECK(parts_.files.write_adapter(tensors));
  return save();
}

Result<void> TrainingLoop::save() {
  return parts_.files.write_last(parts_.state, parts_.optimizer->state(), parts_.run.identity,
                                 parts_.run.network->tensors());
}

Result<void> TrainingLoop::finish() {
  if (!holds_best()) BOBBY_CHECK(parts_.files.write_adapter(parts_.run.network->tensors()));
  parts_.state.finished = true;
  return save();
}

// The first records of the test set, by the adapter that the folder holds.
Result<std::optional<double>> TrainingLoop::test() {
  const TrainingData& data = *parts_.run.data;
  const TrainingConfig& config = *parts_.run.config;
  auto count = static_cast<std::int64_t>(data.test.examples.size());
  if (config.test_batches >= 0) count = std::min(count, config.test_batches * config.batch_size);
  if (count == 0) return std::optional<double>();
  BOBBY_CHECK(
      read_adapter_tensors(parts_.run.folder / kAdapterFile, parts_.run.network->tensors()));
  BOBBY_CHECK(parts_.run.network->upload());
  BatchLoss total;
  for (std::int64_t begin = 0; begin < count && !cancelled(); begin += config.batch_size) {
    std::vector<std::int64_t> places;
    for (std::int64_t i = begin; i < std::min(count, begin + config.batch_size); ++i)
      places.push_back(data.test_begin() + i);
    BOBBY_TRY(const BatchLoss loss, micro_.loss(places));
    total.sum += loss.sum;
    total.tokens += loss.tokens;
    show_progress("test", begin, count);
  }
  return std::optional<double>(total.mean());
}

void TrainingLoop::show_progress(std::string_view phase, std::int64_t done, std::int64_t total) {
  if (!parts_.watch.on_progress) return;
  TrainingProgress progress;
  progress.phase = phase;
  progress.done = done;
  progress.total = total;
  progress.loss = recent_loss_;
  if (run_seconds_ > 0.0) progress.tok_s = static_cast<double>(run_tokens_) / run_seconds_;
  const std::int64_t made = at_ - first_;
  if (made > 0)
    progress.seconds_left = seconds_since(begun_) / static_cast<double>(made) *
                            static_cast<double>(parts_.iterations - at_);
  parts_.watch.on_progress(progress);
}

}  // namespace bobby
