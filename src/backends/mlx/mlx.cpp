#include "backends/mlx/mlx.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fmt/format.h>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "backends/mlx/activation_table.h"
#include "backends/mlx/attention.h"
#include "backends/mlx/kv.h"
#include "backends/mlx/linear.h"
#include "backends/mlx/top_logits.h"
#include "tensor/formats/affine.h"

namespace bobby {
namespace {

using namespace mlx_backend;

// The device starts on a step's first layers while the host is still writing down the rest: after
// so many add()s, of which a layer has two, then after every kAddsAhead more.
constexpr int kFirstAdds = 2;
constexpr int kAddsAhead = 8;

Error error_of(const std::exception& thrown) {
  const std::string what = thrown.what();
  const bool memory =
      what.find("llocate") != std::string::npos || what.find("memory") != std::string::npos;
  return {.code = memory ? ErrorCode::kLimit : ErrorCode::kInternal,
          .where = "mlx",
          .problem = what.empty() ? "an operation failed" : what};
}

/// MLX throws; the seam does not.
template <typename Work>
auto attempt(Work work) -> Result<decltype(work())> {
  try {
    if constexpr (std::is_void_v<decltype(work())>) {
      work();
      return {};
    } else {
      return work();
    }
  } catch (const std::exception& thrown) {
    return fail(error_of(thrown));
  }
}

/// Addresses that stand for activations: see ActivationTable. The pages are never touched.
class AddressBuffer : public Buffer {
 public:
  AddressBuffer(void* data, std::size_t size, std::shared_ptr<ActivationTable> table)
      : data_(data), size_(size), table_(std::move(table)) {}
  ~AddressBuffer() override {
    table_->forget(data_, size_);
    std::free(data_);
  }
  AddressBuffer(const AddressBuffer&) = delete;
  AddressBuffer& operator=(const AddressBuffer&) = delete;
  void* data() const override { return data_; }
  std::size_t size() const override { return size_; }

 private:
  void* data_;
  std::size_t size_;
  std::shared_ptr<ActivationTable> table_;
};

class MlxBackend : public Backend {
 public:
  MlxBackend(const Machine& machine, std::string description)
      : machine_(machine), description_(std::move(description)) {
    if (machine_.gpu) swiglu_ = compiled_swiglu();
  }
  ~MlxBackend() override {
    (void)attempt([this] { mx::synchronize(machine_.stream); });
  }

  std::string_view name() const override { return "mlx"; }
  std::string description() const override { return description_; }

  Result<void> supports(const WeightFormat& format) const override {
    return check_format(format, kAffineGroupSizes.back(), format.to_string());
  }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    constexpr std::size_t kAlignment = 64;
    const std::size_t whole =
        (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    void* data = whole < bytes ? nullptr : std::aligned_alloc(kAlignment, whole);
    if (data == nullptr)
      return fail({.code = ErrorCode::kLimit,
                   .problem = fmt::format("the system has no {} bytes of memory left", bytes)});
    return std::make_unique<AddressBuffer>(data, bytes, activations_);
  }
  Result<std::unique_ptr<Weight>> load_weight(const WeightView& view) override;
  Result<std::unique_ptr<LoraWeight>> load_lora(const LoraView& view) override {
    return attempt([&]() -> std::unique_ptr<LoraWeight> {
      return std::make_unique<MlxLora>(view, linear_.adapters(), machine_);
    });
  }
  Result<std::unique_ptr<KvStorage>> allocate_kv(const KvShape& shape) override;

  bool bits_follow_chunks() const override { return true; }
  void begin_step(std::span<const SequenceRows> /*sequences*/) override {
    activations_->begin_step();
    adds_ = 0;
  }

  void embed(const Weight& table, std::span<const std::int32_t> tokens,
             std::span<const LoraRows> lora, Activation out) override {
    run([&] { linear_.embed(table, tokens, lora, out); });
  }
  void rms_norm(Activation x, const Weight& weight, float eps, Activation out) override {
    assert(x.rows == out.rows && x.cols == out.cols && weight.cols() == x.cols);
    run([&] {
      const mx::array& norm = of_mlx(weight).vector();
      if (goes_on(x))
        activations_->write(out,
                            PendingInput{{read(x), RowInput::Norm{norm, eps, constants_.of(eps)}},
                                         size_of(x.cols)});
      else
        write(out, mx::fast::rms_norm(read(x), norm, eps, machine_.stream));
    });
  }
  void linear(Activation x, std::span<const Projection> projections) override {
    run([&] { linear_.linear(x, projections); });
  }
  void rope_and_store(const RopeStore& args) override {
    run([&] {
      attention_.rope_and_store(args);
      stored_in_ = static_cast<const MlxKv&>(*args.kv).pools();
    });
  }
  void attention(const Attention& args) override {
    run([&] { attention_.attention(args); });
  }
  void copy_kv_block(KvStorage& kv, std::int32_t from, std::int32_t to) override {
    run([&] { static_cast<MlxKv&>(kv).copy_block(from, to); });
  }
  Result<void> read_kv_block(const KvStorage& kv, std::int32_t block,
                             std::span<std::byte> host) override {
    assert(host.size() == kv.shape().block_bytes());
    BOBBY_CHECK(take_failure());
    return attempt([&] { static_cast<const MlxKv&>(kv).read_block(block, host.data()); });
  }
  Result<void> write_kv_block(KvStorage& kv, std::int32_t block,
                              std::span<const std::byte> host) override {
    assert(host.size() == kv.shape().block_bytes());
    BOBBY_CHECK(take_failure());
    return attempt([&] { static_cast<MlxKv&>(kv).write_block(block, host.data()); });
  }
  void swiglu(Activation gate, Activation up, Activation out) override {
    assert(gate.rows * gate.cols == up.rows * up.cols);
    run([&] {
      if (const mx::array* both = goes_on(gate) ? gate_up(gate, up) : nullptr)
        activations_->write(out, PendingInput{{*both}, size_of(gate.cols)});
      else
        write(out, swiglu_of(read(gate), read(up)));
    });
  }
  void add(Activation x, Activation y) override {
    assert(x.rows == y.rows && x.cols == y.cols);
    run([&] {
      const auto* product = activations_->pending<PendingProduct>(y);
      mx::array sum = product ? product->make(read(x)) : mx::add(read(x), read(y), machine_.stream);
      write(x, sum);
      if (++adds_ >= kFirstAdds && (adds_ - kFirstAdds) % kAddsAhead == 0) mx::async_eval(sum);
    });
  }
  void select_rows(Activation x, std::span<const std::int32_t> rows, Activation out) override {
    assert(out.rows == static_cast<std::int64_t>(rows.size()) && x.cols == out.cols);
    run([&] { write(out, selected(read(x), rows)); });
  }

  Result<void> copy_out(Activation x, std::span<float> host) override;
  Result<std::span<const TopLogits>> top_logits(Activation logits) override {
    // On a CPU the host reads what it needs.
    if (!machine_.gpu && !machine_.cuda) return std::span<const TopLogits>();
    BOBBY_CHECK(take_failure());
    return attempt([&] { return top_logits_.run(read(logits)); });
  }
  std::size_t memory_left() override {
    if (!machine_.gpu) return 0;
    const std::size_t limit = mx::get_memory_limit(), used = mx::get_active_memory();
    return used < limit ? limit - used : 0;
  }
  Result<double> read_bandwidth() override;
  Result<void> sync() override {
    BOBBY_CHECK(take_failure());
    return attempt([&] {
      mx::eval(activations_->written());
      if (const auto pools = stored_in_.lock()) finish(*pools);
      mx::synchronize(machine_.stream);
    });
  }

 private:
  using Compiled = std::function<std::vector<mx::array>(const std::vector<mx::array>&)>;

  mx::array read(Activation x) const { return activations_->read(x); }
  void write(Activation to, mx::array values) { activations_->write(to, std::move(values)); }
  /// What an operation could not do is reported by the next call that waits.
  template <typename Work>
  void run(Work work) {
    auto done = attempt(work);
    if (!done && !failure_) failure_ = std::move(done).error();
  }
  Result<void> take_failure() {
    if (!failure_) return {};
    return fail(*std::exchange(failure_, std::nullopt));
  }
  /// Whether what is made of x is left for the next product's kernel to compute.
  bool goes_on(Activation x) const { return machine_.cuda && x.rows <= RowProduct::kMostRows; }
  /// The product of which these are the two halves; null where they are not.
  const mx::array* gate_up(Activation gate, Activation up) const {
    const auto* first = activations_->pending<PendingColumns>(gate);
    const auto* second = activations_->pending<PendingColumns>(up);
    const bool halves = first && second && first->whole.id() == second->whole.id() &&
                        first->begin == 0 && second->begin == first->cols &&
                        first->whole.shape(1) == 2 * first->cols;
    return halves ? &first->whole : nullptr;
  }
  /// As one kernel, which MLX writes and compiles at first use.
  Compiled compiled_swiglu() const {
    return mx::compile(
        [s = machine_.stream](const std::vector<mx::array>& inputs) -> std::vector<mx::array> {
          const mx::array& gate = inputs[0];
          return {mx::multiply(mx::multiply(gate, mx::sigmoid(gate, s), s), inputs[1], s)};
        },
        true);
  }
  mx::array swiglu_of(const mx::array& gate, const mx::array& up) const {
    if (swiglu_) return swiglu_({gate, up}).front();
    const mx::Stream& s = machine_.stream;
    return mx::multiply(mx::multiply(gate, mx::sigmoid(gate, s), s), up, s);
  }
  mx::array selected(const mx::array& x, std::span<const std::int32_t> rows) const;

  Machine machine_;
  std::string description_;
  Compiled swiglu_;
  std::shared_ptr<ActivationTable> activations_ = std::make_shared<ActivationTable>(machine_);
  Constants constants_{machine_};
  LinearEngine linear_{machine_, *activations_};
  AttentionEngine attention_{machine_, *activations_, constants_};
  TopLogitsEngine top_logits_{machine_};
  std::weak_ptr<KvPools> stored_in_;
  int adds_ = 0;
  std::optional<Error> failure_;
};

Result<std::unique_ptr<Weight>> MlxBackend::load_weight(const WeightView& view) {
  BOBBY_CHECK(check_format(view.format, view.cols, view.name));
  if (std::max(view.rows * view.cols / 2, view.rows) > std::numeric_limits<int>::max())
    return fail({.code = ErrorCode::kUnsupported,
                 .where = view.name,
                 .problem = "MLX cannot hold so large a tensor",
                 .found = fmt::format("{} x {}", view.rows, view.cols)});
  return attempt([&]() -> std::unique_ptr<Weight> {
    return std::make_unique<MlxWeight>(view, load_matrix(view, machine_), linear_.joined(),
                                       machine_);
  });
}

Result<std::unique_ptr<KvStorage>> MlxBackend::allocate_kv(const KvShape& shape) {
  assert(shape.layers > 0 && shape.num_key_value_heads > 0 && shape.head_dim > 0);
  assert(shape.block_tokens > 0 && shape.blocks > 0);
  const auto limit = static_cast<double>(mx::get_memory_limit());
  const bool counted = shape.blocks <= std::numeric_limits<int>::max() / shape.block_tokens;
  if (!counted || (limit > 0 && shape.bytes_at_most() > limit))
    return fail({.code = ErrorCode::kLimit,
                 .where = "KV cache",
                 .problem = fmt::format("there are no {:.0f} bytes of memory for it",
                                        shape.bytes_at_most()),
                 .hint = "ask for a shorter context or fewer sequences"});
  return attempt(
      [&]() -> std::unique_ptr<KvStorage> { return std::make_unique<MlxKv>(shape, machine_); });
}

mx::array MlxBackend::selected(const mx::array& x, std::span<const std::int32_t> rows) const {
  bool all = static_cast<int>(rows.size()) == x.shape(0);
  for (std::size_t i = 0; all && i < rows.size(); ++i) all = rows[i] == static_cast<int>(i);
  if (all) return x;
  if (rows.size() == 1)
    return mx::slice(x, mx::Shape{rows[0], 0}, mx::Shape{rows[0] + 1, x.shape(1)}, machine_.stream);
  const mx::array numbers(rows.data(), {static_cast<int>(rows.size())}, mx::int32);
  return mx::take(x, numbers, 0, machine_.stream);
}

Result<void> MlxBackend::copy_out(Activation x, std::span<float> host) {
  assert(static_cast<std::int64_t>(host.size()) == x.rows * x.cols);
  BOBBY_CHECK(take_failure());
  return attempt([&] {
    mx::array values = mx::contiguous(read(x), false, machine_.stream);
    mx::eval(values);
    std::memcpy(host.data(), values.data<float>(), host.size() * sizeof(float));
  });
}

/// By a sum over 512 MiB, the best of five.
Result<double> MlxBackend::read_bandwidth() {
  if (!machine_.gpu) return 0.0;
  return attempt([&] {
    constexpr int kFloats = 1 << 27;
    const mx::array numbers = mx::ones({kFloats}, mx::float32, machine_.stream);
    double best = 0.0;
    for (int round = 0; round < 6; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      mx::array sum = mx::sum(numbers, machine_.stream);
      mx::eval(sum);
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
      if (round > 0) best = std::max(best, 4.0 * kFloats / time.count() / 1e9);
    }
    mx::clear_cache();
    return best;
  });
}

std::string text_of(const mx::Device& device, const char* key) {
  const auto& info = mx::device_info(device);
  const auto found = info.find(key);
  const auto* text = found == info.end() ? nullptr : std::get_if<std::string>(&found->second);
  return text == nullptr ? std::string() : *text;
}

/// Keeps the weights in memory: macOS would page out what a GPU has not read for a second.
void wire_memory(const mx::Device& device) {
  const auto& info = mx::device_info(device);
  const auto found = info.find("max_recommended_working_set_size");
  if (found == info.end()) return;
  if (const auto* bytes = std::get_if<std::size_t>(&found->second)) mx::set_wired_limit(*bytes);
}

}  // namespace

Result<std::unique_ptr<Backend>> make_mlx_backend(const MlxOptions& options) {
  using Device = MlxOptions::Device;
  // fp32 products are to be fp32: NVIDIA's quicker kind keeps ten bits.
  setenv("MLX_ENABLE_TF32", "0", 0);
  auto made = attempt([&]() -> std::unique_ptr<Backend> {
    const bool has_gpu = mx::is_available(mx::Device::gpu);
    if (options.device == Device::kGpu && !has_gpu) return nullptr;
    const bool gpu = has_gpu && options.device != Device::kCpu;
    const mx::Device device(gpu ? mx::Device::gpu : mx::Device::cpu);
    mx::set_default_device(device);
    Machine machine{.stream = mx::new_thread_unsafe_stream(device),
                    .gpu = gpu,
                    .metal = gpu && mx::metal::is_available()};
    machine.cuda = options.as_on_cuda || (gpu && !machine.metal);
    machine.own_kernels = gpu && !machine.metal;
    if (machine.metal) wire_memory(device);
    const std::string kind = machine.metal ? "Metal" : gpu ? "CUDA" : "CPU";
    const std::string name = gpu ? text_of(device, "device_name") : "";
    return std::make_unique<MlxBackend>(
        machine, fmt::format("mlx: MLX {} on {}{}{}, fp32 activations", mx::version(), kind,
                             name.empty() ? "" : ", ", name));
  });
  if (!made) return made;
  if (!*made)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = "--device mlx",
                 .problem = "this MLX has no GPU here",
                 .hint = "--device mlx:cpu runs it on the processor"});
  return made;
}

}  // namespace bobby
