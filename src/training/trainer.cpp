#include "training/trainer.h"

#include <utility>

#include "training/adapter_writer.h"
#include "training/lora_init.h"
#include "training/training_loop.h"

namespace bobby {
namespace {

constexpr std::string_view kLoraA = ".lora_a";

// A fresh adapter as mlx-lm begins with: lora_a random by the seed, lora_b zero.
Result<void> begin_tensors(const TrainingConfig& config, Network& network) {
  std::vector<LoraA> modules;
  for (TrainableTensor& tensor : network.tensors())
    if (tensor.name.ends_with(kLoraA))
      modules.push_back(
          {tensor.name.substr(0, tensor.name.size() - kLoraA.size()), tensor.rows, tensor.value});
  BOBBY_CHECK(init_lora_a(config.seed, modules));
  if (!config.resume_adapter_file) return {};
  return read_adapter_tensors(*config.resume_adapter_file, network.tensors());
}

Result<void> go_on(const Checkpoint& checkpoint, Network& network, Optimizer& optimizer,
                   BatchOrder& order) {
  BOBBY_CHECK(read_adapter_tensors(checkpoint.folder / kAdapterFile, network.tensors()));
  BOBBY_CHECK(optimizer.restore(checkpoint.optimizer, parameter_updates(network.tensors())));
  return order.restore(checkpoint.state.update_position);
}

}  // namespace

std::int64_t total_iterations(const TrainingConfig& config, std::int64_t batches_a_pass) {
  return config.epochs ? *config.epochs * batches_a_pass : config.iters;
}

Result<std::unique_ptr<Trainer>> Trainer::begin(TrainingRun run, TrainingWatch watch,
                                                const Checkpoint* resume) {
  const TrainingConfig& config = *run.config;
  BOBBY_TRY(
      auto order,
      BatchOrder::make(
          {.compat_mlx = config.compat_mlx, .seed = config.seed, .batch_size = config.batch_size},
          run.data->training.examples, run.data->validation.examples));
  BOBBY_TRY(auto optimizer, Optimizer::make(config.optimizer));
  TrainingState state;
  if (resume != nullptr) {
    BOBBY_CHECK(go_on(*resume, *run.network, *optimizer, *order));
    state = resume->state;
    state.finished = false;
  } else {
    BOBBY_CHECK(begin_tensors(config, *run.network));
    state.update_position = order->position();
  }
  BOBBY_CHECK(run.network->upload());
  run.network->zero_gradients();
  BOBBY_TRY(RunFiles files,
            RunFiles::open(run.folder, run.texts, state.metrics, config.keep_checkpoints));
  const std::int64_t iterations = total_iterations(config, order->batches_a_pass());
  return std::unique_ptr<Trainer>(
      std::make_unique<TrainingLoop>(LoopParts{.run = std::move(run),
                                               .watch = std::move(watch),
                                               .order = std::move(order),
                                               .optimizer = std::move(optimizer),
                                               .files = std::move(files),
                                               .state = std::move(state),
                                               .iterations = iterations}));
}

}  // namespace bobby
