// Training on a CUDA device:
//   train_bench products             TFLOP/s of the products by shape, beside the plain path's
//   train_bench MODEL [stages]       tokens a second, without and with the optimizer and the
//                                    copies of what is trained; ms by operation
// MODEL is a folder as `bobby model synth` makes it; pairs of rank 8 on the top 16 blocks, all
// seven projections.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <cuda_runtime.h>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends/cuda/cuda.h"
#include "backends/cuda/training/product.h"
#include "backends/cuda/training/rounding.h"
#include "training/network.h"
#include "training/optimizer.h"
#include "training/training_loop.h"

namespace bobby {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

[[noreturn]] void stop(const Error& error) {
  std::fprintf(stderr, "%s\n", error.to_string().c_str());
  std::exit(1);
}
template <typename T>
T value_of(Result<T> result) {
  if (!result) stop(result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// Products.

struct Shape {
  const char* name;
  std::int64_t rows, cols, depth;
  bool depth_rows;
};

/// Numbers for the left and right side of every product: blocks filled with small random bf16.
class RandomBlocks {
 public:
  RandomBlocks(Backend& backend, std::size_t bytes)
      : buffer_(value_of(backend.allocate(bytes))), bytes_(bytes) {
    std::vector<std::uint16_t> numbers(std::min<std::size_t>(bytes / 2, std::size_t{1} << 24));
    std::mt19937 random(5);
    for (std::uint16_t& number : numbers) {
      const std::uint32_t word = random();
      number = static_cast<std::uint16_t>((word & 0x807f) | ((0x7c - word % 4096 / 1024) << 7));
    }
    value_of(backend.sync());
    for (std::size_t at = 0; at < bytes; at += numbers.size() * 2)
      cudaMemcpy(static_cast<char*>(buffer_->data()) + at, numbers.data(),
                 std::min(bytes - at, numbers.size() * 2), cudaMemcpyHostToDevice);
  }
  const unsigned char* data() const { return static_cast<const unsigned char*>(buffer_->data()); }

 private:
  std::unique_ptr<Buffer> buffer_;
  std::size_t bytes_;
};

double milliseconds(const std::function<void()>& run, int repeats) {
  cudaEvent_t begin = nullptr, end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  for (int i = 0; i < 2; ++i) run();
  cudaEventRecord(begin);
  for (int i = 0; i < repeats; ++i) run();
  cudaEventRecord(end);
  cudaEventSynchronize(end);
  float taken = 0;
  cudaEventElapsedTime(&taken, begin, end);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return static_cast<double>(taken) / repeats;
}

void bench_products() {
  const auto backend = value_of(make_cuda_backend());
  const std::vector<Shape> shapes = {
      {"q k v", 2048, 6144, 4096, false},       {"o", 2048, 4096, 4096, false},
      {"gate up", 2048, 24576, 4096, false},    {"down", 2048, 4096, 12288, false},
      {"head", 1024, 151936, 4096, false},      {"gate up, back", 2048, 4096, 24576, true},
      {"down, back", 2048, 12288, 4096, true},  {"o, back", 2048, 4096, 4096, true},
      {"head, back", 1024, 4096, 151936, true}, {"gate up, 512 rows", 512, 24576, 4096, false},
      {"o, 64 rows", 64, 4096, 4096, false},    {"gate up, 64 rows", 64, 24576, 4096, false},
  };
  constexpr std::int64_t kHead = 151936;
  const RandomBlocks left(*backend, cuda::block_bytes(cuda::row_blocks_of(2048), 24576 / 64) +
                                        cuda::block_bytes(16, kHead / 64));
  const RandomBlocks right(*backend, cuda::block_bytes(kHead / 64, 4096 / 64));
  const auto out = value_of(backend->allocate(std::size_t{1024} * kHead * 4));
  const auto other = value_of(backend->allocate(std::size_t{2048} * 24576 * 4));
  value_of(backend->sync());
  std::printf("%-20s %6s %7s %7s %9s %9s  %s\n", "product", "rows", "cols", "depth", "TFLOP/s",
              "plain", "difference");
  for (const Shape& shape : shapes) {
    const auto run = [&](cuda::ProductPath path, void* to) {
      cuda::ProductArgs args;
      args.rows = static_cast<int>(shape.rows);
      args.depth_rows = shape.depth_rows;
      args.add_output(static_cast<float*>(to), static_cast<int>(shape.cols));
      args.add_term(left.data(), right.data(), cuda::blocks_of(shape.depth));
      cuda::product(args, nullptr, path);
    };
    const double work =
        2e-9 * static_cast<double>(shape.rows * shape.cols) * static_cast<double>(shape.depth);
    const double fast = milliseconds([&] { run(cuda::ProductPath::kFastest, out->data()); }, 20);
    const double plain =
        shape.cols * shape.depth > 200'000'000
            ? 0.0
            : milliseconds([&] { run(cuda::ProductPath::kPlain, other->data()); }, 2);
    double distance = -1;
    if (plain > 0) {  // the first rows of both
      const auto count =
          static_cast<std::size_t>(std::min<std::int64_t>(shape.rows, 200) * shape.cols);
      std::vector<float> a(count), b(count);
      cudaMemcpy(a.data(), out->data(), count * 4, cudaMemcpyDeviceToHost);
      cudaMemcpy(b.data(), other->data(), count * 4, cudaMemcpyDeviceToHost);
      double apart = 0, norm = 0;
      for (std::size_t i = 0; i < count; ++i) {
        apart += std::pow(static_cast<double>(a[i]) - b[i], 2);
        norm += std::pow(static_cast<double>(b[i]), 2);
      }
      distance = std::sqrt(apart / norm);
    }
    std::printf("%-20s %6lld %7lld %7lld %9.1f %9.1f  %.1e\n", shape.name,
                static_cast<long long>(shape.rows), static_cast<long long>(shape.cols),
                static_cast<long long>(shape.depth), work / fast, plain > 0 ? work / plain : 0.0,
                distance);
    std::fflush(stdout);
  }
  std::printf("%s\n", cudaGetErrorString(cudaDeviceSynchronize()));
}

// A network.

/// The operations with a wait after each, and how long each kind took.
class TimedOps final : public TrainingOps {
 public:
  TimedOps(TrainingOps& ops, Backend& backend) : ops_(ops), backend_(backend) {}
  std::map<std::string, double> take() { return std::exchange(seconds_, {}); }

  Result<void> copy_in(std::span<const float> host, Activation to) override {
    return timed("copies", [&] { return ops_.copy_in(host, to); });
  }
  Result<void> copy_out(Activation from, std::span<float> host) override {
    return timed("copies", [&] { return ops_.copy_out(from, host); });
  }
  void zero(Activation x) override {
    timed("zero, copy, add", [&] { ops_.zero(x); });
  }
  void copy(Activation from, Activation to) override {
    timed("zero, copy, add", [&] { ops_.copy(from, to); });
  }
  void add(Activation x, Activation y, Activation out) override {
    timed("zero, copy, add", [&] { ops_.add(x, y, out); });
  }
  void embed(const Weight& table, std::span<const std::int32_t> tokens, Activation out) override {
    timed("embed", [&] { ops_.embed(table, tokens, out); });
  }
  void rms_norm(Activation x, const Weight& weight, float eps, Activation out) override {
    timed("norms", [&] { ops_.rms_norm(x, weight, eps, out); });
  }
  void rms_norm_backward(Activation x, const Weight& weight, float eps, Activation out_gradient,
                         Activation x_gradient) override {
    timed("norms, back", [&] { ops_.rms_norm_backward(x, weight, eps, out_gradient, x_gradient); });
  }
  void linear(Activation x, std::span<const TrainingProjection> projections,
              std::span<const TrainingSequence> sequences) override {
    timed(projections[0].lora ? "linear with pairs" : "linear, frozen",
          [&] { ops_.linear(x, projections, sequences); });
  }
  void linear_backward(Activation x, std::span<const TrainingProjection> projections,
                       std::span<const TrainingSequence> sequences,
                       Activation x_gradient) override {
    timed("linear, back", [&] { ops_.linear_backward(x, projections, sequences, x_gradient); });
  }
  void row_norms(const Weight& weight, const TrainingLora* lora, Activation norms) override {
    ops_.row_norms(weight, lora, norms);
  }
  void rope(const TrainingRope& args) override {
    timed("rope", [&] { ops_.rope(args); });
  }
  void rope_backward(const TrainingRope& args, Activation q, Activation k) override {
    timed("rope, back", [&] { ops_.rope_backward(args, q, k); });
  }
  void attention(const TrainingAttention& args) override {
    timed("attention", [&] { ops_.attention(args); });
  }
  void attention_backward(const TrainingAttention& args,
                          const TrainingAttentionGradient& gradient) override {
    timed("attention, back", [&] { ops_.attention_backward(args, gradient); });
  }
  void swiglu(Activation gate, Activation up, Activation out) override {
    timed("swiglu", [&] { ops_.swiglu(gate, up, out); });
  }
  void swiglu_backward(Activation gate, Activation up, Activation out_gradient,
                       Activation gate_gradient, Activation up_gradient) override {
    timed("swiglu, back",
          [&] { ops_.swiglu_backward(gate, up, out_gradient, gate_gradient, up_gradient); });
  }
  Result<void> cross_entropy(const TrainingCrossEntropy& args) override {
    return timed("head and loss", [&] { return ops_.cross_entropy(args); });
  }
  std::size_t scratch_bytes(std::int64_t rows, std::int64_t longest,
                            const Weight& head) const override {
    return ops_.scratch_bytes(rows, longest, head);
  }

 private:
  template <typename F>
  std::invoke_result_t<const F&> timed(const char* name, const F& run) {
    const auto begin = Clock::now();
    const auto finish = [&] {
      value_of(backend_.sync());
      seconds_[name] += seconds_since(begin);
    };
    if constexpr (std::is_void_v<decltype(run())>) {
      run();
      finish();
    } else {
      auto result = run();
      finish();
      return result;
    }
  }

  TrainingOps& ops_;
  Backend& backend_;
  std::map<std::string, double> seconds_;
};

/// A backend for training alone, with its operations timed.
class TimedTraining final : public Backend {
 public:
  explicit TimedTraining(Backend& inner) : inner_(inner), ops_(*inner.training(), inner) {}
  TimedOps& ops() { return ops_; }

  std::string_view name() const override { return inner_.name(); }
  std::string description() const override { return inner_.description(); }
  Result<void> supports(const WeightFormat& format) const override {
    return inner_.supports(format);
  }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    return inner_.allocate(bytes);
  }
  Result<std::unique_ptr<Weight>> load_weight(const WeightView& view) override {
    return inner_.load_weight(view);
  }
  Result<std::unique_ptr<LoraWeight>> load_lora(const LoraView& view) override {
    return inner_.load_lora(view);
  }
  Result<std::unique_ptr<KvStorage>> allocate_kv(const KvShape& shape) override {
    return inner_.allocate_kv(shape);
  }
  void embed(const Weight&, std::span<const std::int32_t>, std::span<const LoraRows>,
             Activation) override {}
  void rms_norm(Activation, const Weight&, float, Activation) override {}
  void linear(Activation, std::span<const Projection>) override {}
  void rope_and_store(const RopeStore&) override {}
  void attention(const Attention&) override {}
  void copy_kv_block(KvStorage&, std::int32_t, std::int32_t) override {}
  Result<void> read_kv_block(const KvStorage& kv, std::int32_t block,
                             std::span<std::byte> bytes) override {
    return inner_.read_kv_block(kv, block, bytes);
  }
  Result<void> write_kv_block(KvStorage& kv, std::int32_t block,
                              std::span<const std::byte> bytes) override {
    return inner_.write_kv_block(kv, block, bytes);
  }
  void swiglu(Activation, Activation, Activation) override {}
  void add(Activation, Activation) override {}
  void select_rows(Activation, std::span<const std::int32_t>, Activation) override {}
  Result<void> copy_out(Activation x, std::span<float> host) override {
    return inner_.copy_out(x, host);
  }
  TrainingOps* training() override { return &ops_; }
  Result<void> sync() override { return inner_.sync(); }

 private:
  Backend& inner_;
  TimedOps ops_;
};

TrainingRows batch_of(std::int64_t sequences, std::int64_t length, std::int64_t vocab_size) {
  TrainingRows rows;
  std::mt19937 random(3);
  for (std::int64_t i = 0; i < sequences * length; ++i) {
    rows.inputs.push_back(static_cast<std::int32_t>(random() % vocab_size));
    rows.targets.push_back(static_cast<std::int32_t>(random() % vocab_size));
    rows.weights.push_back(1.0f / static_cast<float>(sequences * length));
  }
  for (std::int64_t i = 0; i < sequences; ++i) rows.sequences.push_back({i * length, length, i});
  return rows;
}

double gigabytes_used() {
  std::size_t left = 0, total = 0;
  cudaMemGetInfo(&left, &total);
  return static_cast<double>(total - left) / 1e9;
}

std::unique_ptr<Network> load(const char* model, Backend& backend, std::size_t cache = 0) {
  const NetworkOptions options = {.lora = {.rank = 8, .num_layers = 16},
                                  .input_cache_bytes = cache};
  auto network = value_of(Network::load(model, backend, options));
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0f, 0.01f);
  for (TrainableTensor& tensor : network->tensors())
    for (float& value : tensor.value) value = normal(random);
  value_of(network->upload());
  return network;
}

void bench_network(const char* model, bool stages) {
  const auto backend = value_of(make_cuda_backend());
  std::printf("%s\n", backend->description().c_str());
  TimedTraining timed(*backend);
  const auto begin = Clock::now();
  const auto network = load(model, stages ? static_cast<Backend&>(timed) : *backend);
  std::printf("loaded in %.1f s, %.2f GB used\n", seconds_since(begin), gigabytes_used());
  const std::int64_t vocab_size = network->config().vocab_size;
  OptimizerConfig adamw;
  adamw.kind = OptimizerKind::kAdamW;
  const auto optimizer = value_of(Optimizer::make(adamw));
  struct Batch {
    std::int64_t sequences, length;
  };
  for (const Batch& batch : {Batch{8, 256}, Batch{32, 64}, Batch{8, 60}, Batch{1, 64}}) {
    const TrainingRows rows = batch_of(batch.sequences, batch.length, vocab_size);
    double loss = 0;
    double first = 0;  // the first sequence's, times all tokens: the same alone or packed
    std::vector<double> step, whole;
    for (int i = 0; i < (stages ? 3 : 8); ++i) {
      timed.ops().take();
      const auto from = Clock::now();
      network->zero_gradients();
      const RowsLoss found = value_of(network->gradients(rows));
      value_of(backend->sync());
      step.push_back(seconds_since(from));
      value_of(network->download_gradients());
      optimizer->step(1e-7f, parameter_updates(network->tensors()));
      value_of(network->upload());
      value_of(backend->sync());
      whole.push_back(seconds_since(from));
      first = found.sequence_loss[0] * static_cast<double>(rows.inputs.size());
      loss = 0;
      for (const double one : found.sequence_loss) loss += one;
    }
    const double tokens = static_cast<double>(batch.sequences * batch.length);
    const double best = *std::min_element(step.begin(), step.end());
    const double best_whole = *std::min_element(whole.begin(), whole.end());
    double norm = 0;
    for (const TrainableTensor& tensor : network->tensors())
      for (const float number : tensor.gradient) norm += static_cast<double>(number) * number;
    std::printf(
        "%lld x %lld: once %.0f ms, best %.2f ms = %.0f tok/s; with adamw and copies %.2f ms = "
        "%.0f tok/s; loss %.9f, of the first sequence %.17g, gradient %.6e; %.2f GB used\n",
        static_cast<long long>(batch.sequences), static_cast<long long>(batch.length),
        step[0] * 1e3, best * 1e3, tokens / best, best_whole * 1e3, tokens / best_whole, loss,
        first, std::sqrt(norm), gigabytes_used());
    const NetworkMemory plan = network->memory(batch.sequences * batch.length, batch.length);
    std::printf("  planned: weights %.2f, trained %.2f, activations %.2f GB\n",
                static_cast<double>(plan.weights) / 1e9, static_cast<double>(plan.trained) / 1e9,
                static_cast<double>(plan.activations) / 1e9);
    if (stages) {
      timed.ops().take();
      network->zero_gradients();
      value_of(network->gradients(rows));
      value_of(network->download_gradients());
      value_of(network->upload());
      for (const auto& [name, seconds] : timed.ops().take())
        std::printf("  %-20s %8.2f ms\n", name.c_str(), seconds * 1e3);
    }
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace bobby

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "train_bench products | MODEL [stages]\n");
    return 2;
  }
  if (std::strcmp(argv[1], "products") == 0)
    bobby::bench_products();
  else
    bobby::bench_network(argv[1], argc > 2);
  return 0;
}
