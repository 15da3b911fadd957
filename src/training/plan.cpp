#include "training/plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

#include "training/batches.h"

namespace bobby {
namespace {

constexpr std::int64_t kMostPackTokens = 4096;

std::int64_t length_of(const TrainingExample& example) {
  return example.length();
}

// Layers are told by the numbers in the tensors' names.
std::int64_t count_layers(std::span<const TrainableTensor> tensors) {
  constexpr std::string_view kBlocks = "model.layers.";
  std::set<std::string> layers;
  for (const TrainableTensor& tensor : tensors)
    if (tensor.name.starts_with(kBlocks))
      layers.insert(tensor.name.substr(0, tensor.name.find('.', kBlocks.size())));
  return static_cast<std::int64_t>(layers.size());
}

struct Measured {
  double seconds = 0.0;
  std::int64_t rows = 0;
};

// One step's worth of records, forward and backward, the second time: the first one also pays for
// what is set up once.
Result<Measured> measure_step(const TrainingRun& run) {
  const TrainingConfig& config = *run.config;
  BOBBY_CHECK(run.network->upload());
  const std::int64_t count =
      std::min(run.data->training_count(),
               config.batch_size * (config.compat_mlx ? 1 : config.grad_accumulation_steps));
  std::vector<std::int64_t> places;
  Measured measured;
  for (std::int64_t i = 0; i < count && measured.rows < kMostPackTokens; ++i) {
    places.push_back(i);
    measured.rows += length_of(run.data->training.examples[static_cast<std::size_t>(i)]);
  }
  MicroBatches micro(*run.network, *run.data,
                     {.compat_mlx = config.compat_mlx,
                      .max_seq_length = config.max_seq_length,
                      .pack_tokens = config.packing ? run.pack_tokens : 0});
  for (int turn = 0; turn < 2; ++turn) {
    const auto begin = std::chrono::steady_clock::now();
    BOBBY_CHECK(micro.gradients(places, 0));
    measured.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  run.network->zero_gradients();
  return measured;
}

std::int64_t largest_rows(const Network& network, std::int64_t longest, std::uint64_t bytes) {
  const auto fits = [&](std::int64_t rows) {
    return network.memory(rows, longest).activations <= bytes;
  };
  std::int64_t low = 0, high = 1;
  while (high < (std::int64_t{1} << 24) && fits(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

void add_memory(const TrainingRun& run, std::uint64_t available, TrainingPlan& plan) {
  const NetworkMemory memory = run.network->memory(plan.rows, plan.longest);
  plan.weights = memory.weights;
  plan.adapter = memory.trained;
  plan.activations = memory.activations;
  plan.input_cache = memory.input_cache;
  plan.optimizer = optimizer_bytes(run.config->optimizer, run.network->tensors());
  plan.available = available;
  if (available == 0) return;
  const std::uint64_t fixed = plan.total() - plan.activations;
  const std::uint64_t left = available - std::min(available, fixed);
  plan.largest_batch =
      largest_rows(*run.network, plan.longest, left) / std::max<std::int64_t>(plan.longest, 1);
}

void add_time(const TrainingRun& run, const Measured& measured, TrainingPlan& plan) {
  const TrainingConfig& config = *run.config;
  const double row_seconds = measured.seconds / static_cast<double>(measured.rows);
  plan.tok_s = 1.0 / row_seconds;
  const auto validation = static_cast<double>(run.data->validation.examples.size());
  const double validated =
      config.val_batches < 0
          ? validation
          : std::min(validation, static_cast<double>(config.val_batches * config.batch_size));
  const double validations = 2.0 + std::floor(static_cast<double>(plan.iterations) /
                                              static_cast<double>(config.steps_per_eval));
  // A forward alone is about a third of both.
  const double rows = static_cast<double>(plan.iterations * config.batch_size) * plan.mean_length +
                      validations * validated * plan.mean_length / 3.0;
  plan.seconds = rows * row_seconds;
}

std::string megabytes(std::uint64_t bytes) {
  return fmt::format("{:>10.0f} MB", static_cast<double>(bytes) / 1e6);
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

}  // namespace

std::uint64_t optimizer_bytes(const OptimizerConfig& config,
                              std::span<const TrainableTensor> tensors) {
  std::uint64_t numbers = 0;
  for (const TrainableTensor& tensor : tensors) {
    const std::uint64_t size = tensor.value.size();
    switch (config.kind) {
      case OptimizerKind::kAdam:
      case OptimizerKind::kAdamW: numbers += 2 * size; break;
      case OptimizerKind::kMuon: numbers += size; break;
      case OptimizerKind::kSgd: numbers += config.sgd.momentum > 0 ? size : 0; break;
      case OptimizerKind::kAdafactor:
        numbers += tensor.rows > 1 ? static_cast<std::uint64_t>(tensor.rows + tensor.cols) : size;
        numbers += config.adafactor.beta_1 ? size : 0;
        break;
    }
  }
  return numbers * sizeof(float);
}

std::int64_t choose_pack_tokens(const Network& network, std::int64_t longest, std::uint64_t bytes) {
  std::int64_t rows = kMostPackTokens;
  while (rows > 64 && network.memory(rows, longest).activations > bytes) rows /= 2;
  return std::max(rows, longest);
}

Result<TrainingPlan> make_plan(const TrainingRun& run, std::uint64_t available) {
  const TrainingConfig& config = *run.config;
  TrainingPlan plan;
  for (const TrainableTensor& tensor : run.network->tensors())
    plan.parameters += static_cast<std::int64_t>(tensor.value.size());
  plan.layers = count_layers(run.network->tensors());
  plan.records = run.data->training_count();
  for (const TrainingExample& example : run.data->training.examples) {
    plan.longest = std::max(plan.longest, length_of(example));
    plan.mean_length += static_cast<double>(length_of(example)) / static_cast<double>(plan.records);
  }
  plan.batches_a_pass = config.compat_mlx
                            ? plan.records / config.batch_size
                            : (plan.records + config.batch_size - 1) / config.batch_size;
  plan.iterations = total_iterations(config, plan.batches_a_pass);
  plan.updates = config.compat_mlx ? plan.iterations / config.grad_accumulation_steps
                                   : (plan.iterations + config.grad_accumulation_steps - 1) /
                                         config.grad_accumulation_steps;
  plan.passes = static_cast<double>(plan.iterations) / static_cast<double>(plan.batches_a_pass);
  plan.rows = config.packing ? std::max(run.pack_tokens, plan.longest) : plan.longest;
  const std::int64_t step_rows = static_cast<std::int64_t>(
      std::ceil(plan.mean_length * static_cast<double>(config.batch_size) *
                static_cast<double>(config.compat_mlx ? 1 : config.grad_accumulation_steps)));
  plan.rows = std::max(std::min(plan.rows, step_rows), plan.longest);
  BOBBY_TRY(const Measured measured, measure_step(run));
  add_memory(run, available, plan);
  add_time(run, measured, plan);
  return plan;
}

std::string plan_text(const TrainingPlan& plan) {
  std::string text = fmt::format(
      "data        {} records, {:.0f} tokens on average, {} at most\n"
      "run         {} iterations, {} optimizer steps, {:.1f} passes over the data\n"
      "trained     {:.2f} M parameters in {} layers\n\n",
      plan.records, plan.mean_length, plan.longest, plan.iterations, plan.updates, plan.passes,
      static_cast<double>(plan.parameters) / 1e6, plan.layers);
  text += fmt::format("weights     {}\n", megabytes(plan.weights));
  text += fmt::format("adapter     {}   with its gradients\n", megabytes(plan.adapter));
  text += fmt::format("optimizer   {}\n", megabytes(plan.optimizer));
  text += fmt::format(
      "activations {}   for {} tokens at once{}\n", megabytes(plan.activations), plan.rows,
      plan.layers > 0
          ? fmt::format(", {:.1f} MB a layer", static_cast<double>(plan.activations) / 1e6 /
                                                   static_cast<double>(plan.layers))
          : "");
  text += fmt::format("input cache {}   at most\n", megabytes(plan.input_cache));
  text += fmt::format("total       {}", megabytes(plan.total()));
  if (plan.available > 0)
    text +=
        fmt::format("   of {:.0f} MB that are free: {}", static_cast<double>(plan.available) / 1e6,
                    plan.fits() ? "it fits" : "it does not fit");
  if (plan.available > 0)
    text +=
        fmt::format("\nlargest batch in one piece: {} of the longest records", plan.largest_batch);
  text += fmt::format("\ntime        about {}, at {:.0f} tokens/s (measured on one step)\n",
                      duration_text(plan.seconds), plan.tok_s);
  return text;
}

std::string plan_json(const TrainingPlan& plan) {
  const nlohmann::ordered_json json = {{"records", plan.records},
                                       {"mean_length", plan.mean_length},
                                       {"longest", plan.longest},
                                       {"iterations", plan.iterations},
                                       {"updates", plan.updates},
                                       {"passes", plan.passes},
                                       {"parameters", plan.parameters},
                                       {"layers", plan.layers},
                                       {"rows", plan.rows},
                                       {"weight_bytes", plan.weights},
                                       {"adapter_bytes", plan.adapter},
                                       {"optimizer_bytes", plan.optimizer},
                                       {"activation_bytes", plan.activations},
                                       {"input_cache_bytes", plan.input_cache},
                                       {"total_bytes", plan.total()},
                                       {"available_bytes", plan.available},
                                       {"fits", plan.fits()},
                                       {"largest_batch", plan.largest_batch},
                                       {"tok_s", plan.tok_s},
                                       {"seconds", plan.seconds}};
  return json.dump();
}

}  // namespace bobby
