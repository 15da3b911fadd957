#pragma once

// Operands of linear() for the backends whose memory is a device's.

#include <algorithm>
#include <memory>
#include <vector>

#include "unit/backends/device_tensor.h"

namespace bobby::test {

/// One operand set of linear().
struct LinearCase {
  std::vector<const WeightBytes*> weights;
  std::vector<const WeightBytes*> biases;  // empty, or one for each weight (null: none)
  struct Lora {
    std::size_t projection;
    std::int64_t row_begin, row_count;
    const LoraBytes* bytes;
    float scale;
  };
  std::vector<Lora> loras;
};

using Outputs = std::vector<std::vector<float>>;  // [projection][rows * out_features]

/// Runs rows [begin, begin + rows) of x; adapters are given for whole x.
inline Outputs run(Backend& backend, const LinearCase& c, const std::vector<float>& all,
                   std::int64_t begin, std::int64_t rows) {
  const std::int64_t cols = c.weights.front()->view().cols;
  std::vector<std::unique_ptr<Weight>> weights, biases;
  std::vector<std::unique_ptr<LoraWeight>> owned;
  std::vector<std::vector<LoraRows>> loras(c.weights.size());
  std::vector<DeviceTensor> outs;
  for (const WeightBytes* weight : c.weights) {
    weights.push_back(backend.load_weight(weight->view()).value());
    outs.emplace_back(backend, rows, weight->view().rows);
  }
  for (const WeightBytes* bias : c.biases)
    biases.push_back(bias ? backend.load_weight(bias->view()).value() : nullptr);
  for (const LinearCase::Lora& lora : c.loras) {
    const std::int64_t first = std::max(lora.row_begin, begin);
    const std::int64_t last = std::min(lora.row_begin + lora.row_count, begin + rows);
    if (first >= last) continue;
    owned.push_back(backend.load_lora(lora.bytes->view()).value());
    loras[lora.projection].push_back({first - begin, last - first, owned.back().get(), lora.scale});
  }
  std::vector<Projection> projections;
  for (std::size_t p = 0; p < weights.size(); ++p)
    projections.push_back({.weight = weights[p].get(),
                           .bias = biases.empty() ? nullptr : biases[p].get(),
                           .lora = loras[p],
                           .out = outs[p]});
  const DeviceTensor x(backend, rows, cols, rows_of(all, cols, begin, rows));
  backend.linear(x, projections);
  Outputs outputs;
  for (const DeviceTensor& out : outs) outputs.push_back(out.values(backend));
  return outputs;
}

/// Three projections of one x in different formats, some with a bias, with LoRA on some rows.
class MixedCase {
 public:
  static constexpr std::int64_t kCols = 1088;

  MixedCase(std::int64_t rows, int adapters, Random& random) {
    const std::vector<WeightFormat> formats = {affine(4, 64), affine(6, 32, DType::kF16),
                                               dense(DType::kBF16)};
    const std::vector<std::int64_t> outputs = {131, 70, 64};
    for (std::size_t p = 0; p < formats.size(); ++p) {
      weights_.push_back(std::make_unique<WeightBytes>(formats[p], outputs[p], kCols, random));
      biases_.push_back(std::make_unique<WeightBytes>(dense(DType::kF16), 1, outputs[p], random));
      case_.weights.push_back(weights_[p].get());
      case_.biases.push_back(p == 1 ? nullptr : biases_[p].get());
      for (int i = 0; i < adapters; ++i) {
        loras_.push_back(std::make_unique<LoraBytes>(i % 3 == 0 ? 8 : 5 + 8 * (i % 3), kCols,
                                                     outputs[p], random, /*dora=*/i % 3 == 1));
        const std::int64_t begin = i == 0 ? 0 : random.integer(rows);
        const std::int64_t count = i == 0 ? rows : 1 + random.integer(rows - begin);
        case_.loras.push_back({p, begin, count, loras_.back().get(), i % 2 == 0 ? 2.0f : -0.5f});
      }
    }
  }
  const LinearCase& operands() const { return case_; }

 private:
  std::vector<std::unique_ptr<WeightBytes>> weights_, biases_;
  std::vector<std::unique_ptr<LoraBytes>> loras_;
  LinearCase case_;
};

}  // namespace bobby::test
