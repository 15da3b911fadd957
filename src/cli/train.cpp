// bobby train: an adapter out of a folder of posts.

#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/training_setup.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "cli/signals.h"
#include "training/plan.h"

namespace bobby::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string status_line(const TrainingProgress& progress) {
  std::string line = fmt::format("{} {}/{}", progress.phase, progress.done, progress.total);
  if (progress.loss) line += fmt::format("  loss {:.3f}", *progress.loss);
  if (progress.tok_s > 0.0) line += fmt::format("  {:.0f} tok/s", progress.tok_s);
  if (progress.seconds_left)
    line += fmt::format("  {} left", duration_text(*progress.seconds_left));
  return line;
}

std::string report_line(const MetricsRow& row) {
  if (row.val_loss)
    return fmt::format("iteration {:>6}  validation loss {:.4f}  perplexity {:.2f}", row.iteration,
                       *row.val_loss, std::exp(*row.val_loss));
  return fmt::format(
      "iteration {:>6}  training loss   {:.4f}  rate {:.3g}  {:.0f} tok/s  {} tokens",
      row.iteration, row.train_loss.value_or(0.0), row.learning_rate, row.tok_s, row.tokens);
}

TrainingWatch make_watch(Console& console, TrainingSamples* samples) {
  TrainingWatch watch;
  watch.on_report = [&console](const MetricsRow& row) {
    if (console.json()) console.print_json(Json::parse(metrics_json(row)));
    console.note(report_line(row));
  };
  watch.on_progress = [&console](const TrainingProgress& progress) {
    console.status(status_line(progress));
  };
  watch.on_sample = [&console](const SampleText& sample) {
    console.note(fmt::format("  \"{}\": {}", sample.prompt, sample.text));
  };
  watch.on_note = [&console](std::string_view sentence) {
    console.note(fmt::format("bobby: {}", sentence));
  };
  if (samples != nullptr)
    watch.write_samples = [samples](std::int64_t iteration,
                                    std::span<const TrainableTensor> tensors) {
      return samples->write(iteration, tensors);
    };
  watch.cancel = &cancelled();
  return watch;
}

std::string_view end_name(TrainingOutcome::End end) {
  switch (end) {
    case TrainingOutcome::End::kDone: return "done";
    case TrainingOutcome::End::kEarlyStop: return "early_stop";
    case TrainingOutcome::End::kCancelled: return "cancelled";
  }
  return "?";
}

Json outcome_json(const TrainingOutcome& outcome, const std::string& folder) {
  Json json = {{"end", end_name(outcome.end)},
               {"adapter", folder},
               {"iterations", outcome.iterations},
               {"updates", outcome.updates},
               {"tokens", outcome.tokens}};
  if (outcome.start_val_loss) json["start_val_loss"] = *outcome.start_val_loss;
  if (outcome.best_val_loss) {
    json["best_val_loss"] = *outcome.best_val_loss;
    json["best_iteration"] = outcome.best_iteration;
  }
  if (outcome.test_loss) json["test_loss"] = *outcome.test_loss;
  return json;
}

std::string outcome_text(const TrainingOutcome& outcome, const std::string& folder) {
  std::string text = fmt::format("{}: {} iterations, {} optimizer steps, {} tokens", folder,
                                 outcome.iterations, outcome.updates, outcome.tokens);
  if (outcome.end == TrainingOutcome::End::kEarlyStop) text += "; stopped early";
  if (outcome.best_val_loss)
    text += fmt::format("; best validation loss {:.4f} at iteration {}{}", *outcome.best_val_loss,
                        outcome.best_iteration,
                        outcome.start_val_loss
                            ? fmt::format(" ({:.4f} without the adapter)", *outcome.start_val_loss)
                            : "");
  if (outcome.test_loss)
    text += fmt::format("; test loss {:.4f}, perplexity {:.2f}", *outcome.test_loss,
                        std::exp(*outcome.test_loss));
  return text;
}

Result<int> show_plan(const Invocation& invocation) {
  BOBBY_TRY(const auto setup, set_up_training(invocation.settings, /*plan=*/true,
                                              pull_view(invocation.console, invocation.settings)));
  for (const std::string& note : setup->notes) invocation.console.note("bobby: " + note);
  BOBBY_TRY(const TrainingPlan plan, make_plan(setup->run, setup->available));
  if (invocation.console.json())
    invocation.console.print_json(Json::parse(plan_json(plan)));
  else
    invocation.console.print_bytes(plan_text(plan));
  return plan.fits() ? kDone : kFailed;
}

int show_outcome(Console& console, const TrainingSetup& setup, const TrainingOutcome& outcome) {
  const std::string folder = setup.run.folder.string();
  const bool stopped = outcome.end == TrainingOutcome::End::kCancelled;
  console.end_progress();
  if (console.json())
    console.print_json(outcome_json(outcome, folder));
  else if (!stopped)
    console.print(outcome_text(outcome, folder));
  if (stopped) {
    console.note(fmt::format("bobby: stopped after iteration {}; `bobby train --resume {}` goes on",
                             outcome.iterations, folder));
    return kInterrupted;
  }
  if (outcome.start_val_loss && outcome.best_val_loss &&
      *outcome.best_val_loss >= *outcome.start_val_loss)
    console.note(
        "bobby: no validation was better than the one before training: the adapter has not learned "
        "what the validation set has; try more data or another learning_rate");
  return kDone;
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  if (settings.flag(Opt::kPlan)) return show_plan(invocation);
  BOBBY_TRY(const auto setup,
            set_up_training(settings, /*plan=*/false, pull_view(console, settings)));
  for (const std::string& note : setup->notes) console.note("bobby: " + note);
  std::optional<TrainingSamples> samples;
  if (setup->config.samples) samples.emplace(settings, *setup);
  BOBBY_TRY(const auto trainer,
            Trainer::begin(setup->run, make_watch(console, samples ? &*samples : nullptr),
                           setup->checkpoint ? &*setup->checkpoint : nullptr));
  let_work_end();
  BOBBY_TRY(const TrainingOutcome outcome, trainer->run());
  return show_outcome(console, *setup, outcome);
}

constexpr Opt kOptions[] = {Opt::kTrainConfig,  Opt::kPlan,
                            Opt::kResume,       Opt::kOverwrite,
                            Opt::kTrainData,    Opt::kAdapterPath,
                            Opt::kIters,        Opt::kEpochs,
                            Opt::kBatchSize,    Opt::kGradAccumulation,
                            Opt::kLearningRate, Opt::kNumLayers,
                            Opt::kMaxSeqLength, Opt::kStepsPerReport,
                            Opt::kStepsPerEval, Opt::kSaveEvery,
                            Opt::kValBatches,   Opt::kTrainSeed};
constexpr Example kExamples[] = {
    {"bobby train --config voice.yaml", "an adapter as the file says"},
    {"bobby train --config voice.yaml --plan", "what memory and time that will take"},
    {"bobby train --resume adapters", "go on where it stopped, whatever stopped it"},
    {"bobby train --data ./posts --adapter-path ./voice --epochs 3", "without a file"},
};

}  // namespace

const Command kTrain = {
    .group = "",
    .name = "train",
    .summary = "train an adapter on a folder of posts",
    .description =
        "Trains a LoRA or DoRA adapter on train.jsonl, with the model's weights as they are. The "
        "config is mlx_lm.lora's YAML, with a few keys of ours (docs/guides/training.md); `compat: "
        "mlx` asks for mlx-lm's arithmetic, loss by loss. The adapter folder holds the adapter "
        "as mlx-lm reads it, best/ and last/, and the losses as JSON lines, CSV, a plot and a "
        "TensorBoard file. Ctrl-C ends after the step at hand, a second one at once; --resume goes "
        "on to the same adapter in either case.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
