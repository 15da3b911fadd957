#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "training/network.h"

namespace bobby::testing {

/// A network of one pair whose loss at a row is (s - target / 100)^2 / 2, s the sum of all values:
/// as cheap as can be, and with the sums by sequence that the door promises.
class FakeNetwork final : public Network {
 public:
  FakeNetwork() {
    tensors_ = {{"model.layers.0.self_attn.q_proj.lora_a", 4, 2, {}, {}},
                {"model.layers.0.self_attn.q_proj.lora_b", 2, 3, {}, {}}};
    for (TrainableTensor& tensor : tensors_) {
      tensor.value.assign(static_cast<std::size_t>(tensor.rows * tensor.cols), 0.0f);
      tensor.gradient = tensor.value;
    }
  }

  const ModelConfig& config() const override { return config_; }
  std::vector<TrainableTensor>& tensors() override { return tensors_; }
  Result<void> upload() override { return {}; }
  void zero_gradients() override {
    for (TrainableTensor& tensor : tensors_) tensor.gradient.assign(tensor.value.size(), 0.0f);
  }
  Result<void> download_gradients() override { return {}; }
  Result<RowsLoss> loss(const TrainingRows& rows) override { return run(rows, false); }
  Result<RowsLoss> gradients(const TrainingRows& rows, std::uint64_t) override {
    ++runs;
    return run(rows, true);
  }
  NetworkMemory memory(std::int64_t rows, std::int64_t) const override {
    return {.weights = 100,
            .trained = 10,
            .activations = static_cast<std::size_t>(rows) * 1000,
            .input_cache = 0};
  }

  std::int64_t bad_record = -1;  ///< its loss is NaN
  int runs = 0;

 private:
  Result<RowsLoss> run(const TrainingRows& rows, bool backward) {
    float sum = 0.0f;
    for (const TrainableTensor& tensor : tensors_)
      for (const float value : tensor.value) sum += value;
    RowsLoss losses;
    for (const TrainingSequence& sequence : rows.sequences) {
      double loss = 0.0;
      float slope = 0.0f;
      for (std::int64_t i = sequence.begin; i < sequence.begin + sequence.count; ++i) {
        const auto row = static_cast<std::size_t>(i);
        const float distance = sum - static_cast<float>(rows.targets[row]) / 100.0f;
        loss += 0.5 * rows.weights[row] * distance * distance;
        slope += rows.weights[row] * distance;
      }
      if (sequence.record == bad_record) loss = std::numeric_limits<double>::quiet_NaN();
      losses.sequence_loss.push_back(loss);
      if (!backward) continue;
      for (TrainableTensor& tensor : tensors_)
        for (float& gradient : tensor.gradient) gradient += slope;
    }
    return losses;
  }

  ModelConfig config_;
  std::vector<TrainableTensor> tensors_;
};

}  // namespace bobby::testing
