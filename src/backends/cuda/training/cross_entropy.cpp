#include "backends/cuda/training/cross_entropy.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backends/cuda/launch.cuh"
#include "backends/cuda/training/product.h"
#include "backends/cuda/training/row_ops.h"

namespace bobby::cuda {
namespace {

using Use = TrainingMachine::Use;

/// The rows that cost something, on the device.
struct ChosenRows {
  std::vector<int> numbers;  // on the host too
  const int* rows = nullptr;
  const int* targets = nullptr;
  const float* weights = nullptr;

  static Result<ChosenRows> make(TrainingMachine& machine, const TrainingCrossEntropy& args) {
    ChosenRows chosen;
    std::vector<int> targets;
    std::vector<float> weights;
    for (std::size_t row = 0; row < args.weights.size(); ++row) {
      if (args.weights[row] == 0.0f) continue;
      chosen.numbers.push_back(static_cast<int>(row));
      targets.push_back(args.targets[row]);
      weights.push_back(args.weights[row]);
    }
    const std::size_t size = chosen.numbers.size() * sizeof(int);
    std::vector<std::byte> bytes(3 * size);
    if (size == 0) return chosen;
    std::memcpy(bytes.data(), chosen.numbers.data(), size);
    std::memcpy(bytes.data() + size, targets.data(), size);
    std::memcpy(bytes.data() + 2 * size, weights.data(), size);
    BOBBY_TRY(const std::byte* put, machine.put(bytes));
    chosen.rows = reinterpret_cast<const int*>(put);
    chosen.targets = reinterpret_cast<const int*>(put + size);
    chosen.weights = reinterpret_cast<const float*>(put + 2 * size);
    return chosen;
  }
};

/// Chosen rows [begin, begin + count): logits, losses, and the gradient of x.
Result<void> chunk_losses(TrainingMachine& machine, const TrainingCrossEntropy& args,
                          const ChosenRows& chosen, std::int64_t begin, std::int64_t count,
                          double* losses) {
  const std::int64_t vocab = args.head->rows();
  const auto rows = static_cast<int>(count);
  BOBBY_TRY(const Blocks head, machine.weight(*args.head, Use::kWeight));
  BOBBY_TRY(const Blocks x, machine.round(args.x, Use::kX, chosen.rows + begin, count));
  BOBBY_TRY(float* logits,
            machine.scratch<float>(Use::kLogits, static_cast<std::size_t>(count * vocab)));
  ProductArgs forward;
  forward.rows = rows;
  forward.add_output(logits, static_cast<int>(vocab));
  forward.add_term(x.data, head.data, x.col_blocks);
  product(forward, machine.stream());

  LossJob job{.logits = logits,
              .targets = chosen.targets + begin,
              .weights = chosen.weights + begin,
              .losses = losses + begin,
              .gradient = {},
              .rows = rows,
              .vocab = static_cast<int>(vocab)};
  if (args.x_gradient.data) {
    job.gradient = {nullptr, row_blocks_of(count), blocks_of(vocab)};
    BOBBY_TRY(job.gradient.data, machine.scratch<unsigned char>(
                                     Use::kLogitGradient, block_bytes(job.gradient.row_blocks,
                                                                      job.gradient.col_blocks)));
  }
  cross_entropy_rows(job, machine.stream());
  if (!args.x_gradient.data) return {};

  const std::int64_t hidden_size = args.x.cols;
  BOBBY_TRY(float* gradients,
            machine.scratch<float>(Use::kRows, static_cast<std::size_t>(count * hidden_size)));
  ProductArgs backward;
  backward.rows = rows;
  backward.depth_rows = true;
  backward.add_output(gradients, static_cast<int>(hidden_size));
  backward.add_term(job.gradient.data, head.data, job.gradient.col_blocks);
  product(backward, machine.stream());
  scatter_rows(gradients, chosen.rows + begin, rows, static_cast<int>(hidden_size),
               args.x_gradient.data, machine.stream());
  return {};
}

}  // namespace

std::int64_t logit_rows(std::int64_t rows, std::int64_t vocab_size) {
  const std::int64_t row_bytes = vocab_size * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t most =
      std::max<std::int64_t>(kLogitsBytes / row_bytes / kTileRows128, 1) * kTileRows128;
  return std::min(rows, most);
}

Result<void> training_cross_entropy(TrainingMachine& machine, const TrainingCrossEntropy& args) {
  std::ranges::fill(args.row_loss, 0.0);
  const auto x_bytes = static_cast<std::size_t>(args.x.rows * args.x.cols) * sizeof(float);
  if (args.x_gradient.data) {
    ++launches();
    BOBBY_CHECK(check(cudaMemsetAsync(args.x_gradient.data, 0, x_bytes, machine.stream()),
                      "clearing a gradient"));
  }
  BOBBY_TRY(const ChosenRows chosen, ChosenRows::make(machine, args));
  const auto total = static_cast<std::int64_t>(chosen.numbers.size());
  if (total == 0) return {};
  BOBBY_TRY(double* losses, machine.scratch<double>(Use::kLosses, static_cast<std::size_t>(total)));
  const std::int64_t chunk = logit_rows(total, args.head->rows());
  for (std::int64_t begin = 0; begin < total; begin += chunk)
    BOBBY_CHECK(chunk_losses(machine, args, chosen, begin, std::min(chunk, total - begin), losses));
  std::vector<double> host(chosen.numbers.size());
  BOBBY_CHECK(
      machine.hooks().uploader->download(losses, host.size() * sizeof(double), host.data()));
  for (std::size_t i = 0; i < host.size(); ++i)
    args.row_loss[static_cast<std::size_t>(chosen.numbers[i])] = host[i];
  return {};
}

}  // namespace bobby::cuda
