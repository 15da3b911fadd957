// What stands between the products of a step on a CUDA device, through the seam:
//   cuda_ops_bench
// Microseconds a call, the best of five rounds. A launch costs the host about 2.6 us, so that less
// than that cannot be seen: the first line says what one is.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "backends/cuda/cuda.h"

namespace bobby {
namespace {

constexpr std::int64_t kHidden = 4096, kIntermediate = 12288, kHeads = 32, kKvHeads = 8, kDim = 128;
constexpr std::int64_t kLayers = 36, kWeightLayers = 4;  // more bytes than caches hold
constexpr std::int64_t kMostRows = 512, kMostPositions = 512, kBlockTokens = 32;

/// Random levels or elements, and scales and biases of a size that keeps numbers finite.
struct Bytes {
  std::vector<std::byte> levels, scales, biases;
  WeightView view;

  Bytes(WeightFormat format, std::int64_t rows, std::int64_t cols) {
    view = {.name = "bench", .format = format, .rows = rows, .cols = cols};
    std::mt19937_64 random(static_cast<std::uint64_t>(rows * cols));
    const auto count = static_cast<std::size_t>(rows);
    levels.resize(count * view.weight_row_bytes());
    for (std::size_t i = 0; i + 8 <= levels.size(); i += 8) {
      const std::uint64_t value = random();
      std::memcpy(levels.data() + i, &value, sizeof value);
    }
    view.weight = levels.data();
    if (format.kind == WeightFormat::Kind::kDense) {
      std::vector<float> values(static_cast<std::size_t>(rows * cols), 0.01f);
      std::memcpy(levels.data(), values.data(), levels.size());
      return;
    }
    const auto fill = [&](std::vector<std::byte>& to, std::uint16_t bits) {  // bf16
      to.resize(count * view.scales_row_bytes());
      for (std::size_t i = 0; i + 2 <= to.size(); i += 2) std::memcpy(&to[i], &bits, 2);
    };
    fill(scales, 0x3b00);  // 0.00195
    fill(biases, 0xbc6f);  // -0.0146: -7.5 of those
    view.scales = scales.data();
    view.biases = biases.data();
  }
};

struct Tensor {
  std::unique_ptr<Buffer> buffer;
  std::int64_t cols = 0;
  Activation of(std::int64_t rows) const {
    return {static_cast<float*>(buffer->data()), rows, cols};
  }
};

class Bench {
 public:
  explicit Bench(Backend& backend) : backend_(backend) {
    const WeightFormat four{
        .kind = WeightFormat::Kind::kAffine, .dtype = DType::kBF16, .bits = 4, .group_size = 64};
    const WeightFormat floats{.kind = WeightFormat::Kind::kDense, .dtype = DType::kF32};
    const std::int64_t q = kHeads * kDim, k = kKvHeads * kDim;
    const std::int64_t sizes[7][2] = {{q, kHidden},
                                      {k, kHidden},
                                      {k, kHidden},
                                      {kHidden, q},
                                      {kIntermediate, kHidden},
                                      {kIntermediate, kHidden},
                                      {kHidden, kIntermediate}};
    std::vector<float> numbers(static_cast<std::size_t>(64 * kIntermediate), 0.001f);
    for (const auto& [out, in] : sizes) {
      const Bytes bytes(four, out, in);
      const LoraView lora{.name = "bench",
                          .rank = 8,
                          .in_features = in,
                          .out_features = out,
                          .a = numbers.data(),
                          .b = numbers.data()};
      for (std::int64_t i = 0; i < kWeightLayers; ++i) {
        weights_.push_back(backend.load_weight(bytes.view).value());
        for (std::int64_t j = 0; j < kAdapters; ++j)
          loras_.push_back(backend.load_lora(lora).value());
      }
    }
    norm_ = backend.load_weight(Bytes(floats, 1, kHidden).view).value();
    head_norm_ = backend.load_weight(Bytes(floats, 1, kDim).view).value();
    inv_freq_ = backend.load_weight(Bytes(floats, 1, kDim / 2).view).value();
    kv_ = backend
              .allocate_kv({.layers = kLayers,
                            .num_key_value_heads = kKvHeads,
                            .head_dim = kDim,
                            .block_tokens = kBlockTokens,
                            .blocks = 64 * (kMostPositions / kBlockTokens + 1)})
              .value();
    for (const std::int64_t cols : {kHidden, kHidden, q, k, k, q, kIntermediate, kIntermediate})
      tensors_.push_back(
          {backend.allocate(static_cast<std::size_t>(kMostRows * cols) * sizeof(float)).value(),
           cols});
  }

  void run() {
    time("an empty launch (add of 64 numbers)", 1, [&](std::int64_t) {
      backend_.add({tensors_[0].of(1).data, 1, 64}, {tensors_[1].of(1).data, 1, 64});
    });
    for (const std::int64_t rows : {10, 64}) decode(rows);
    prompt(512);
  }

 private:
  static constexpr std::int64_t kAdapters = 2;
  enum : std::size_t { kX, kH, kQ, kK, kV, kOut, kGate, kUp };
  Activation at(std::size_t i) const { return tensors_[i].of(rows_); }

  /// us a call of one layer's operations.
  double time(const char* what, int launches, const std::function<void(std::int64_t)>& layer) {
    double best = 1e30;
    for (int round = 0; round < 6; ++round) {
      constexpr int kTimes = 4;
      if (!backend_.sync()) std::abort();
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < kTimes; ++i)
        for (std::int64_t l = 0; l < kLayers; ++l) layer(l);
      if (!backend_.sync()) std::abort();
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - start;
      if (round > 0) best = std::min(best, took.count() / (kTimes * kLayers));
    }
    std::printf("%-58s %8.2f us  (%d launches)\n", what, best, launches);
    std::fflush(stdout);
    return best;
  }

  void place(std::int64_t positions) {
    sequences_.clear();
    blocks_.clear();
    const std::int64_t each = kMostPositions / kBlockTokens + 1;
    for (std::int64_t i = 0; i < std::min<std::int64_t>(rows_, 64); ++i) {
      blocks_.emplace_back();
      for (std::int64_t b = 0; b < each; ++b)
        blocks_.back().push_back(static_cast<std::int32_t>(i + 64 * b));
    }
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      sequences_.push_back({static_cast<std::int64_t>(i), 1, positions, blocks_[i]});
  }

  void linear(std::size_t in, std::int64_t layer, std::initializer_list<int> projections,
              std::initializer_list<std::size_t> outs) {
    std::vector<Projection> list;
    std::vector<std::vector<LoraRows>> rows(outs.size());
    auto out = outs.begin();
    for (const int p : projections) {
      const std::size_t i = static_cast<std::size_t>(p * kWeightLayers + layer % kWeightLayers);
      auto& lora = rows[list.size()];
      if (adapters_ == 1) lora.push_back({0, rows_, loras_[i * kAdapters].get(), 1.0f});
      if (adapters_ == 2)  // another for every row
        for (std::int64_t r = 0; r < rows_; ++r)
          lora.push_back({r, 1, loras_[i * kAdapters + static_cast<std::size_t>(r % 2)].get(), 1});
      list.push_back({.weight = weights_[i].get(), .lora = lora, .out = at(*out++)});
    }
    backend_.linear(at(in), list);
  }
  void sum_norm() {
    backend_.add(at(kX), at(kH));
    backend_.rms_norm(at(kX), *norm_, 1e-6f, at(kH));
  }
  void rope(std::int64_t layer) {
    backend_.rope_and_store({.q = at(kQ),
                             .k = at(kK),
                             .v = at(kV),
                             .q_norm = head_norm_.get(),
                             .k_norm = head_norm_.get(),
                             .rms_norm_eps = 1e-6f,
                             .inv_freq = inv_freq_.get(),
                             .sequences = sequences_,
                             .kv = kv_.get(),
                             .layer = layer});
  }
  void attend(std::int64_t layer) {
    backend_.attention({.q = at(kQ),
                        .out = at(kOut),
                        .scale = 0.088f,
                        .sequences = sequences_,
                        .kv = kv_.get(),
                        .layer = layer});
  }
  void products(std::int64_t l) {
    linear(kH, l, {0, 1, 2}, {kQ, kK, kV});
    linear(kOut, l, {3}, {kH});
    linear(kH, l, {4, 5}, {kGate, kUp});
    linear(kGate, l, {6}, {kH});
  }
  void whole(std::int64_t l) {
    linear(kH, l, {0, 1, 2}, {kQ, kK, kV});
    rope(l);
    attend(l);
    linear(kOut, l, {3}, {kH});
    sum_norm();
    linear(kH, l, {4, 5}, {kGate, kUp});
    backend_.swiglu(at(kGate), at(kUp), at(kGate));
    linear(kGate, l, {6}, {kH});
    sum_norm();
  }
  double layer(const char* what, int launches, int adapters) {
    adapters_ = adapters;
    const double us = time(what, launches, [&](std::int64_t l) { whole(l); });
    adapters_ = 0;
    return us;
  }

  void decode(std::int64_t rows) {
    rows_ = rows;
    std::printf("-- %lld rows\n", static_cast<long long>(rows));
    place(80);
    backend_.begin_step(sequences_);
    products(0);
    time("add + norm + rounding", 1, [&](std::int64_t) { sum_norm(); });
    time("swiglu + rounding", 1,
         [&](std::int64_t) { backend_.swiglu(at(kGate), at(kUp), at(kGate)); });
    for (const std::int64_t positions : {31, 127, 511}) {
      place(positions);
      char what[64];
      std::snprintf(what, sizeof what, "rope + attention + rounding, %lld positions",
                    static_cast<long long>(positions + 1));
      time(what, 1, [&](std::int64_t l) {
        rope(l);
        attend(l);
      });
    }
    place(80);
    const double bare =
        time("the four products, x rounded anew each", 8, [&](std::int64_t l) { products(l); });
    const double plain = layer("a layer, 81 positions", 8, 0);
    std::printf("   a layer less those: %.2f us\n", plain - bare);
    for (const int adapters : {1, 2}) {
      const double with =
          layer(adapters == 1 ? "a layer, one adapter on 7 matrices" : "a layer, an adapter a row",
                8, adapters);
      std::printf("   + %.2f us, %.1f %%\n", with - plain, 100 * (with - plain) / plain);
      adapters_ = adapters;
      const double of_products =
          time("the four products with it", 8, [&](std::int64_t l) { products(l); });
      adapters_ = 0;
      std::printf("   + %.2f us\n", of_products - bare);
    }
  }

  void prompt(std::int64_t rows) {
    rows_ = rows;
    std::printf("-- a prompt of %lld rows\n", static_cast<long long>(rows));
    std::vector<std::int32_t> blocks;
    for (std::int32_t b = 0; b < rows / kBlockTokens; ++b) blocks.push_back(b);
    sequences_ = {{0, rows, 0, blocks}};
    backend_.begin_step(sequences_);
    products(0);
    time("add + norm + rounding", 1, [&](std::int64_t) { sum_norm(); });
    time("swiglu + rounding", 1,
         [&](std::int64_t) { backend_.swiglu(at(kGate), at(kUp), at(kGate)); });
    time("rope", 1, [&](std::int64_t l) { rope(l); });
    time("attention", 1, [&](std::int64_t l) { attend(l); });
    const double bare =
        time("the four products, x rounded anew each", 8, [&](std::int64_t l) { products(l); });
    const double plain = layer("a layer", 10, 0);
    const double with = layer("a layer, one adapter on 7 matrices", 14, 1);
    std::printf("   + %.2f us, %.1f %%\n", with - plain, 100 * (with - plain) / plain);
    adapters_ = 1;
    const double of_products =
        time("the four products with it", 12, [&](std::int64_t l) { products(l); });
    adapters_ = 0;
    std::printf("   + %.2f us\n", of_products - bare);
    backend_.begin_step({});
  }

  Backend& backend_;
  std::int64_t rows_ = 0;
  int adapters_ = 0;
  std::vector<std::unique_ptr<Weight>> weights_;    // [7, kWeightLayers]
  std::vector<std::unique_ptr<LoraWeight>> loras_;  // [7, kWeightLayers, kAdapters]
  std::unique_ptr<Weight> norm_, head_norm_, inv_freq_;
  std::unique_ptr<KvStorage> kv_;
  std::vector<Tensor> tensors_;
  std::vector<std::vector<std::int32_t>> blocks_;
  std::vector<SequenceRows> sequences_;
};

}  // namespace
}  // namespace bobby

int main() {
  auto backend = bobby::make_cuda_backend();
  if (!backend) {
    std::fprintf(stderr, "%s\n", backend.error().to_string().c_str());
    return 1;
  }
  std::printf("%s\n", (*backend)->description().c_str());
  bobby::Bench(**backend).run();
}
