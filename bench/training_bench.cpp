// Steps of training on the CPU, for bench/peers/train_cpu.py: forward and backward of a batch of
// equal sequences.
//   training_bench MODEL_FOLDER SEQUENCES TOKENS LAYERS RANK STEPS THREADS [dora]
// Prints one line of JSON: seconds of each step, processor seconds of all, and the loss, so that a
// peer can be compared.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "backends/cpu/cpu.h"
#include "base/random.h"
#include "training/network.h"

namespace {

using bobby::Network;
using bobby::TrainableTensor;
using bobby::TrainingRows;

// Tokens that any vocabulary has, the same as the peer's.
TrainingRows batch(std::int64_t sequences, std::int64_t tokens) {
  TrainingRows rows;
  const auto count = static_cast<float>(sequences * tokens);
  for (std::int64_t sequence = 0; sequence < sequences; ++sequence) {
    rows.sequences.push_back({sequence * tokens, tokens, sequence});
    for (std::int64_t i = 0; i < tokens; ++i) {
      rows.inputs.push_back(
          static_cast<std::int32_t>((sequence * 7919 + i * 104729) % 40000 + 100));
      rows.targets.push_back(
          static_cast<std::int32_t>((sequence * 7919 + (i + 1) * 104729) % 40000 + 100));
      rows.weights.push_back(1.0f / count);
    }
  }
  return rows;
}

void fill(std::vector<TrainableTensor>& tensors) {
  for (std::size_t index = 0; index < tensors.size(); ++index) {
    TrainableTensor& tensor = tensors[index];
    if (!tensor.name.ends_with("lora_a")) continue;
    for (std::size_t i = 0; i < tensor.value.size(); ++i)
      tensor.value[i] =
          static_cast<float>(0.02 * (bobby::uniform(1, static_cast<std::uint32_t>(index),
                                                    static_cast<std::uint32_t>(i), 0) -
                                     0.5));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) return std::fputs("see the head of training_bench.cpp\n", stderr), 2;
  const auto number = [&](int i) { return std::strtoll(argv[i], nullptr, 10); };
  auto backend = bobby::make_cpu_backend({.threads = static_cast<int>(number(7))});
  if (!backend) return std::fprintf(stderr, "%s\n", backend.error().to_string().c_str()), 1;
  const bool dora = argc > 8 && std::string(argv[8]) == "dora";
  auto network = Network::load(
      argv[1], **backend,
      {.lora = {.dora = dora, .rank = number(5), .scale = 2.0f, .num_layers = number(4)}});
  if (!network) return std::fprintf(stderr, "%s\n", network.error().to_string().c_str()), 1;
  fill((*network)->tensors());
  if (auto done = (*network)->upload(); !done) return 1;

  const TrainingRows rows = batch(number(2), number(3));
  double loss = 0;
  const std::clock_t processor = std::clock();
  std::printf("{\"seconds\": [");
  for (std::int64_t step = 0; step < number(6); ++step) {
    const auto begin = std::chrono::steady_clock::now();
    (*network)->zero_gradients();
    auto result = (*network)->gradients(rows);
    if (!result) return std::fprintf(stderr, "%s\n", result.error().to_string().c_str()), 1;
    if (!(*network)->download_gradients() || !(*network)->upload()) return 1;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    loss = 0;
    for (const double one : result->sequence_loss) loss += one;
    std::printf("%s%.4f", step ? ", " : "", seconds.count());
    std::fflush(stdout);
  }
  std::printf("], \"processor_seconds\": %.3f, \"loss\": %.6f}\n",
              static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC, loss);
  return 0;
}
