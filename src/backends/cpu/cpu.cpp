#include "backends/cpu/cpu.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fmt/format.h>
#include <string>
#include <utility>

#include "backends/cpu/attention.h"
#include "backends/cpu/embed.h"
#include "backends/cpu/isa.h"
#include "backends/cpu/kv.h"
#include "backends/cpu/linear/linear.h"
#include "backends/cpu/memory.h"
#include "backends/cpu/rope.h"
#include "backends/cpu/training/training.h"
#include "backends/cpu/weight.h"
#include "base/thread_pool.h"
#include "tensor/formats/affine.h"

namespace bobby {
namespace {

using cpu::vector_of;

constexpr int kMaxThreads = 1024;

// Elements that make a piece of work worth handing to another thread (a few microseconds).
constexpr std::int64_t kElements = 8192;

class CpuBackend : public Backend {
 public:
  CpuBackend(CpuIsa isa, int threads, ActivationFormat activations)
      : ops_(cpu::ops_for(isa)),
        pool_(threads),
        linear_(isa, pool_, activations),
        training_(cpu::make_training_ops(isa, pool_)),
        activations_(activations) {}

  std::string_view name() const override { return "cpu"; }
  std::string description() const override {
    return fmt::format("cpu: {} kernels, {} thread{}, {} activations", linear_.kernel_name(),
                       pool_.threads(), pool_.threads() == 1 ? "" : "s",
                       activations_ == ActivationFormat::kInt8 ? "int8" : "q15");
  }

  Result<void> supports(const WeightFormat& format) const override {
    return linear_.supports(format);
  }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    return cpu::map_memory(bytes);
  }
  Result<std::unique_ptr<Weight>> load_weight(const WeightView& view) override {
    BOBBY_CHECK(check_format(view.format, view.cols, view.name));
    BOBBY_CHECK(linear_.supports(view.format));
    return std::make_unique<cpu::CpuWeight>(view);
  }
  Result<std::unique_ptr<LoraWeight>> load_lora(const LoraView& view) override {
    return std::make_unique<LoraWeight>(view);
  }
  Result<std::unique_ptr<KvStorage>> allocate_kv(const KvShape& shape) override {
    return cpu::PagedKv::make(shape);
  }

  void embed(const Weight& table, std::span<const std::int32_t> tokens,
             std::span<const LoraRows> lora, Activation out) override {
    cpu::embed(pool_, table, tokens, lora, out);
  }
  void linear(Activation x, std::span<const Projection> projections) override {
    linear_.linear(x, projections);
  }
  void rope_and_store(const RopeStore& args) override { rope_.rope_and_store(args); }
  void attention(const Attention& args) override { attention_.attention(args); }
  void copy_kv_block(KvStorage& kv, std::int32_t from, std::int32_t to) override {
    auto& paged = static_cast<cpu::PagedKv&>(kv);
    pool_.parallel_for(paged.shape().layers, 1, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t layer = begin; layer < end; ++layer) paged.copy_block(layer, from, to);
    });
  }

  Result<void> read_kv_block(const KvStorage& kv, std::int32_t block,
                             std::span<std::byte> host) override {
    const auto& paged = static_cast<const cpu::PagedKv&>(kv);
    assert(host.size() == paged.shape().block_bytes());
    for (std::int64_t layer = 0; layer < paged.shape().layers; ++layer) {
      const auto part = paged.block(layer, block);
      std::memcpy(host.data() + static_cast<std::size_t>(layer) * part.size(), part.data(),
                  part.size());
    }
    return {};
  }
  Result<void> write_kv_block(KvStorage& kv, std::int32_t block,
                              std::span<const std::byte> host) override {
    const auto& paged = static_cast<cpu::PagedKv&>(kv);
    assert(host.size() == paged.shape().block_bytes());
    for (std::int64_t layer = 0; layer < paged.shape().layers; ++layer) {
      const auto part = paged.block(layer, block);
      std::memcpy(part.data(), host.data() + static_cast<std::size_t>(layer) * part.size(),
                  part.size());
    }
    return {};
  }

  void rms_norm(Activation x, const Weight& weight, float eps, Activation out) override {
    assert(x.rows == out.rows && x.cols == out.cols && weight.cols() == x.cols);
    const float* w = vector_of(weight).data();
    for_each_row_block(x, [&](std::int64_t row) {
      ops_.rms_norm(x.data + row * x.cols, w, x.cols, eps, out.data + row * x.cols);
    });
  }

  void swiglu(Activation gate, Activation up, Activation out) override {
    assert(gate.rows * gate.cols == up.rows * up.cols &&
           gate.rows * gate.cols == out.rows * out.cols);
    pool_.parallel_for(
        gate.rows * gate.cols, kElements, [&](std::int64_t begin, std::int64_t end, int) {
          ops_.swiglu(gate.data + begin, up.data + begin, end - begin, out.data + begin);
        });
  }

  void add(Activation x, Activation y) override {
    assert(x.rows == y.rows && x.cols == y.cols);
    pool_.parallel_for(x.rows * x.cols, 4 * kElements,
                       [&](std::int64_t begin, std::int64_t end, int) {
                         ops_.add(x.data + begin, y.data + begin, end - begin);
                       });
  }

  void select_rows(Activation x, std::span<const std::int32_t> rows, Activation out) override {
    assert(out.rows == static_cast<std::int64_t>(rows.size()) && x.cols == out.cols);
    for_each_row_block(out, [&](std::int64_t i) {
      const std::int64_t row = rows[static_cast<std::size_t>(i)];
      assert(row >= 0 && row < x.rows);
      std::memcpy(out.data + i * x.cols, x.data + row * x.cols,
                  static_cast<std::size_t>(x.cols) * sizeof(float));
    });
  }

  Result<void> copy_out(Activation x, std::span<float> host) override {
    assert(static_cast<std::int64_t>(host.size()) == x.rows * x.cols);
    std::copy_n(x.data, host.size(), host.data());
    return {};
  }
  TrainingOps* training() override { return training_.get(); }
  Result<void> sync() override { return {}; }

 private:
  /// Calls run(row) for every row of x, blocks of rows at a time.
  template <typename F>
  void for_each_row_block(Activation x, const F& run) {
    const std::int64_t block =
        std::max<std::int64_t>(kElements / std::max<std::int64_t>(x.cols, 1), 1);
    pool_.parallel_for(x.rows, block, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) run(row);
    });
  }

  const cpu::CpuOps& ops_;
  ThreadPool pool_;
  cpu::LinearEngine linear_;
  std::unique_ptr<TrainingOps> training_;
  ActivationFormat activations_;
  cpu::RopeEngine rope_{ops_, pool_};
  cpu::AttentionEngine attention_{ops_, pool_};
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options) {
  if (options.threads < 0 || options.threads > kMaxThreads)
    return fail({.code = ErrorCode::kUsage,
                 .where = "--threads",
                 .problem = "is not a possible number of threads",
                 .expected = fmt::format("0 (as many as there are processors) to {}", kMaxThreads),
                 .found = std::to_string(options.threads)});
  BOBBY_TRY(const CpuIsa isa, cpu::select_isa(options.isa));
  const int threads = options.threads > 0 ? options.threads : ThreadPool::available_processors();
  return std::make_unique<CpuBackend>(isa, std::min(threads, kMaxThreads), options.activations);
}

}  // namespace bobby
