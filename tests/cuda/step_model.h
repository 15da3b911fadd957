#pragma once

// A random transformer of the form that Qwen3 has, run through the seam: its steps as one, or
// operation by operation.

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/cuda_fixture.h"

namespace bobby::test {

struct StepShape {
  std::int64_t layers, hidden, heads, kv_heads, intermediate, vocab;
  DType dtype = DType::kBF16;
  KvFormat format = KvFormat::kF16;
  bool qk_norm = true;
};

/// One row of a step: a sequence's next token.
struct StepRow {
  std::int32_t token = 0;
  std::int64_t position = 0;
  std::vector<std::int32_t> blocks;
  const class StepAdapter* adapter = nullptr;
};

/// Levels, scales and biases drawn quickly; zero mean, deviation about 1 / sqrt(cols).
class QuickWeight {
 public:
  QuickWeight(DType dtype, std::int64_t rows, std::int64_t cols, std::uint64_t seed)
      : levels_(static_cast<std::size_t>(rows * cols / 8)) {
    std::uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    const auto next = [&] {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      return state;
    };
    for (std::uint32_t& word : levels_) word = static_cast<std::uint32_t>(next() >> 16);
    const std::int64_t count = rows * cols / 64;
    std::vector<float> scales(static_cast<std::size_t>(count)), biases(scales);
    for (std::size_t i = 0; i < scales.size(); ++i) {
      const float varied = 0.75f + static_cast<float>(next() >> 40) * 0x1p-25f;
      scales[i] = varied / (4.6f * std::sqrt(static_cast<float>(cols)));
      biases[i] = -7.5f * scales[i];
    }
    scales_.resize(scales.size() * 2);
    biases_.resize(scales.size() * 2);
    narrow(dtype, scales.data(), count, scales_.data());
    narrow(dtype, biases.data(), count, biases_.data());
    view_ = {"test.weight",
             affine(4, 64, dtype),
             rows,
             cols,
             reinterpret_cast<const std::byte*>(levels_.data()),
             scales_.data(),
             biases_.data()};
  }
  const WeightView& view() const { return view_; }

 private:
  std::vector<std::uint32_t> levels_;
  std::vector<std::byte> scales_, biases_;
  WeightView view_;
};

/// A pair for each projection of the layers from `first` on; null pointers before.
class StepAdapter {
 public:
  StepAdapter(Backend& backend, const StepShape& shape, std::int64_t rank, std::int64_t first,
              Random& random, bool dora = false)
      : scale(2.0f) {
    const std::int64_t q = shape.heads * 128, k = shape.kv_heads * 128;
    const std::int64_t sizes[7][2] = {{shape.hidden, q},
                                      {shape.hidden, k},
                                      {shape.hidden, k},
                                      {q, shape.hidden},
                                      {shape.hidden, shape.intermediate},
                                      {shape.hidden, shape.intermediate},
                                      {shape.intermediate, shape.hidden}};
    for (const auto& [in, out] : sizes)
      bytes_.push_back(std::make_unique<LoraBytes>(rank, in, out, random, dora));
    for (std::int64_t layer = first; layer < shape.layers; ++layer)
      for (const auto& bytes : bytes_) weights_.push_back(backend.load_lora(bytes->view()).value());
    first_ = first;
  }
  const LoraWeight* at(std::int64_t layer, std::size_t projection) const {
    return layer < first_
               ? nullptr
               : weights_[static_cast<std::size_t>(layer - first_) * 7 + projection].get();
  }
  float scale;

 private:
  std::int64_t first_ = 0;
  std::vector<std::unique_ptr<LoraBytes>> bytes_;
  std::vector<std::unique_ptr<LoraWeight>> weights_;
};

class StepModel {
 public:
  StepModel(Backend& backend, const StepShape& shape, std::int64_t blocks, std::int64_t most_rows)
      : backend_(backend), shape_(shape) {
    const std::int64_t q = shape.heads * 128, k = shape.kv_heads * 128;
    const std::int64_t sizes[7][2] = {{q, shape.hidden},
                                      {k, shape.hidden},
                                      {k, shape.hidden},
                                      {shape.hidden, q},
                                      {shape.intermediate, shape.hidden},
                                      {shape.intermediate, shape.hidden},
                                      {shape.hidden, shape.intermediate}};
    std::vector<std::unique_ptr<QuickWeight>> kinds;
    for (std::uint64_t i = 0; i < 7; ++i)
      kinds.push_back(std::make_unique<QuickWeight>(shape.dtype, sizes[i][0], sizes[i][1], 11 + i));
    Random random(5);
    const auto norm = [&](std::int64_t cols) {
      std::vector<float> values = random.normals(cols, 0.2f);
      for (float& value : values) value += 1.0f;
      return backend.load_weight(WeightBytes(dense(DType::kBF16), 1, cols, values).view()).value();
    };
    for (std::int64_t i = 0; i < shape.layers; ++i) {
      Layer layer;
      for (std::size_t p = 0; p < 7; ++p)
        layer.weights[p] = backend.load_weight(kinds[p]->view()).value();
      layer.input_norm = norm(shape.hidden);
      layer.post_norm = norm(shape.hidden);
      layer.q_norm = norm(128);
      layer.k_norm = norm(128);
      layers_.push_back(std::move(layer));
    }
    table_ =
        backend.load_weight(QuickWeight(shape.dtype, shape.vocab, shape.hidden, 3).view()).value();
    head_ =
        backend.load_weight(QuickWeight(shape.dtype, shape.vocab, shape.hidden, 4).view()).value();
    final_norm_ = norm(shape.hidden);
    std::vector<float> frequencies;
    for (int i = 0; i < 64; ++i)
      frequencies.push_back(static_cast<float>(std::pow(1e6, -i / 64.0)));
    inv_freq_ =
        backend.load_weight(WeightBytes(dense(DType::kF32), 1, 64, frequencies).view()).value();
    kv_ = backend
              .allocate_kv({.layers = shape.layers,
                            .num_key_value_heads = shape.kv_heads,
                            .head_dim = 128,
                            .block_tokens = 32,
                            .blocks = blocks,
                            .format = shape.format})
              .value();
    const std::int64_t widths[] = {shape.hidden,       shape.hidden,       shape.hidden, q, k, k, q,
                                   shape.intermediate, shape.intermediate, shape.vocab};
    for (const std::int64_t width : widths)
      buffers_.push_back(
          backend.allocate(static_cast<std::size_t>(most_rows * width) * sizeof(float)).value());
  }

  /// The logits of every row.
  std::vector<float> step(const std::vector<StepRow>& rows, bool one_by_one) {
    const Activation logits = enqueue(rows, one_by_one);
    std::vector<float> host(static_cast<std::size_t>(logits.rows * logits.cols));
    EXPECT_TRUE(backend_.sync());
    EXPECT_TRUE(backend_.copy_out(logits, host));
    return host;
  }

  Activation enqueue(const std::vector<StepRow>& rows, bool one_by_one) {
    count_ = static_cast<std::int64_t>(rows.size());
    one_by_one_ = one_by_one;
    rows_ = &rows;
    sequences_.clear();
    std::vector<std::int32_t> tokens, selected;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      tokens.push_back(rows[i].token);
      selected.push_back(static_cast<std::int32_t>(i));
      sequences_.push_back({static_cast<std::int64_t>(i), 1, rows[i].position, rows[i].blocks});
    }
    const Activation x = buffer(0, shape_.hidden), last = buffer(2, shape_.hidden);
    const Activation logits = buffer(9, shape_.vocab);
    backend_.embed(*table_, tokens, {}, x);
    pause();
    for (std::int64_t i = 0; i < shape_.layers; ++i) layer(i, x);
    backend_.select_rows(x, selected, last);
    pause();
    backend_.rms_norm(last, *final_norm_, 1e-6f, last);
    pause();
    linear(last, shape_.layers, {{7, logits}});
    return logits;
  }
  KvStorage& kv() { return *kv_; }
  std::vector<float> x() {
    std::vector<float> host(static_cast<std::size_t>(count_ * shape_.hidden));
    EXPECT_TRUE(backend_.copy_out(buffer(0, shape_.hidden), host));
    return host;
  }

 private:
  struct Layer {
    std::unique_ptr<Weight> weights[7], input_norm, post_norm, q_norm, k_norm;
  };
  struct Output {
    std::size_t projection;
    Activation out;
  };

  Activation buffer(std::size_t i, std::int64_t cols) const {
    return {static_cast<float*>(buffers_[i]->data()), count_, cols};
  }
  void pause() {
    if (!one_by_one_) return;
    EXPECT_TRUE(backend_.sync());
  }
  void linear(Activation in, std::int64_t index, const std::vector<Output>& outputs) {
    std::vector<Projection> projections;
    std::vector<std::vector<LoraRows>> loras(outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::size_t p = outputs[i].projection;
      if (p < 7)
        for (std::size_t r = 0; r < rows_->size(); ++r)
          if (const StepAdapter* adapter = (*rows_)[r].adapter)
            if (const LoraWeight* lora = adapter->at(index, p))
              loras[i].push_back({static_cast<std::int64_t>(r), 1, lora, adapter->scale});
      const Weight& weight = p == 7 ? *head_ : *layers_[static_cast<std::size_t>(index)].weights[p];
      projections.push_back({.weight = &weight, .lora = loras[i], .out = outputs[i].out});
    }
    backend_.linear(in, projections);
    pause();
  }
  void layer(std::int64_t index, Activation x) {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    const std::int64_t q_cols = shape_.heads * 128, k_cols = shape_.kv_heads * 128;
    const Activation hidden = buffer(1, shape_.hidden), q = buffer(3, q_cols),
                     k = buffer(4, k_cols), v = buffer(5, k_cols), out = buffer(6, q_cols),
                     gate = buffer(7, shape_.intermediate), up = buffer(8, shape_.intermediate);
    backend_.rms_norm(x, *layer.input_norm, 1e-6f, hidden);
    pause();
    linear(hidden, index, {{0, q}, {1, k}, {2, v}});
    backend_.rope_and_store({.q = q,
                             .k = k,
                             .v = v,
                             .q_norm = shape_.qk_norm ? layer.q_norm.get() : nullptr,
                             .k_norm = shape_.qk_norm ? layer.k_norm.get() : nullptr,
                             .rms_norm_eps = 1e-6f,
                             .inv_freq = inv_freq_.get(),
                             .sequences = sequences_,
                             .kv = kv_.get(),
                             .layer = index});
    pause();
    backend_.attention({.q = q,
                        .out = out,
                        .scale = 1.0f / std::sqrt(128.0f),
                        .sequences = sequences_,
                        .kv = kv_.get(),
                        .layer = index});
    pause();
    linear(out, index, {{3, hidden}});
    backend_.add(x, hidden);
    pause();
    backend_.rms_norm(x, *layer.post_norm, 1e-6f, hidden);
    pause();
    linear(hidden, index, {{4, gate}, {5, up}});
    backend_.swiglu(gate, up, gate);
    pause();
    linear(gate, index, {{6, hidden}});
    backend_.add(x, hidden);
    pause();
  }

  Backend& backend_;
  StepShape shape_;
  std::vector<Layer> layers_;
  std::unique_ptr<Weight> table_, head_, final_norm_, inv_freq_;
  std::unique_ptr<KvStorage> kv_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<SequenceRows> sequences_;
  const std::vector<StepRow>* rows_ = nullptr;
  std::int64_t count_ = 0;
  bool one_by_one_ = false;
};

}  // namespace bobby::test
