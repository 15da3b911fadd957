#include "backends/cuda/cuda.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "backends/cuda/attention.h"
#include "backends/cuda/bandwidth.h"
#include "backends/cuda/device.h"
#include "backends/cuda/linear.h"
#include "backends/cuda/row_kernels.h"
#include "backends/cuda/step_recorder.h"
#include "backends/cuda/step_runner.h"
#include "backends/cuda/tiled_kernels.h"
#include "backends/cuda/top_logits.h"
#include "backends/cuda/training/training.h"
#include "backends/cuda/weight.h"
#include "tensor/formats/affine.h"

namespace bobby {
namespace {

using namespace cuda;

constexpr std::size_t kReorder = std::size_t{16} << 20;  // of a weight, put into tile order at once

/// Memory that an operation may have been noted of.
class DeviceBuffer : public Buffer {
 public:
  DeviceBuffer(std::unique_ptr<DeviceMemory> memory, std::shared_ptr<Unfinished> unfinished)
      : memory_(std::move(memory)), finish_first_(std::move(unfinished)) {}
  void* data() const override { return memory_->data(); }
  std::size_t size() const override { return memory_->size(); }

 private:
  std::unique_ptr<DeviceMemory> memory_;
  FinishFirst finish_first_;
};

/// A stream of its own, destroyed last.
class Stream {
 public:
  static Result<std::unique_ptr<Stream>> make() {
    cudaStream_t stream = nullptr;
    BOBBY_CHECK(check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream"));
    return std::unique_ptr<Stream>(new Stream(stream));
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  explicit Stream(cudaStream_t stream) : stream_(stream) {}
  cudaStream_t stream_;
};

class CudaBackend : public Backend {
 public:
  CudaBackend(int device, std::string description, std::unique_ptr<Stream> stream)
      : device_(device), description_(std::move(description)), stream_(std::move(stream)) {
    unfinished_->finish = [this] { finish(); };
  }
  ~CudaBackend() override {
    unfinished_->finish = nullptr;
    cudaStreamSynchronize(stream());
  }

  std::string_view name() const override { return "cuda"; }
  std::string description() const override {
    return fmt::format("cuda: {}, q15 activations", description_);
  }

  Result<void> supports(const WeightFormat& format) const override {
    return check_format(format, kAffineGroupSizes.back(), format.to_string());
  }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    use_device();
    auto memory = DeviceMemory::zeroed(bytes, stream());
    if (!memory && training_) {
      training_->release_memory();
      memory = DeviceMemory::zeroed(bytes, stream());
    }
    if (!memory) return fail(std::move(memory).error());
    return std::make_unique<DeviceBuffer>(*std::move(memory), unfinished_);
  }
  Result<std::unique_ptr<Weight>> load_weight(const WeightView& view) override;
  Result<std::unique_ptr<LoraWeight>> load_lora(const LoraView& view) override;
  Result<std::unique_ptr<KvStorage>> allocate_kv(const KvShape& shape) override {
    use_device();
    return CudaKv::make(shape, stream(), unfinished_);
  }

  bool bits_follow_chunks() const override { return true; }
  void begin_step(std::span<const SequenceRows> sequences) override {
    use_device();
    finish();
    linear_.begin_step(sequences);
  }
  // Operations of a step are noted first: see docs/adr/0010.
  void embed(const Weight& table, std::span<const std::int32_t> tokens,
             std::span<const LoraRows> lora, Activation out) override {
    finish();
    if (!recorder_.embed(table, tokens, lora, out))
      remember(linear_.embed(table, tokens, lora, out));
  }
  void rms_norm(Activation x, const Weight& weight, float eps, Activation out) override {
    assert(x.rows == out.rows && x.cols == out.cols && weight.cols() == x.cols);
    if (recorder_.rms_norm(x, weight, eps, out)) return;
    do_noted();
    const float* y = nullptr;
    if (held_add_ && same(held_add_->x, x))
      y = std::exchange(held_add_, std::nullopt)->y.data;  // its deltas go with it
    else
      flush();
    if (linear_.add_norm(x.data, y, vector_of(&weight), eps, out)) return;
    cuda::rms_norm(x.data, vector_of(&weight), eps, out.data, static_cast<int>(x.rows),
                   static_cast<int>(x.cols), stream());
  }
  void linear(Activation x, std::span<const Projection> projections) override {
    if (recorder_.linear(x, projections)) return;
    do_noted();
    flush();
    remember(linear_.linear(x, projections));
  }
  void rope_and_store(const RopeStore& args) override {
    if (recorder_.rope_and_store(args)) return;
    do_noted();
    const auto rows = static_cast<std::int64_t>(args.sequences.size());
    if (rows != args.q.rows ||
        !linear_.deltas().are_of(rows, args.q.data, args.k.data, args.v.data))
      flush();
    auto held = attention_.hold_rope(args);
    if (!held) return remember(fail(std::move(held).error()));
    if (*held) return;
    flush();
    remember(attention_.rope_and_store(args));
  }
  void attention(const Attention& args) override {
    if (recorder_.attention(args)) return;
    do_noted();
    if (!attention_.continues_rope(args)) flush();
    const RowTiles tiles = linear_.columns_for(args.out.rows, args.out.cols);
    remember(attention_.attention(args, tiles, linear_.take_deltas()));
    if (attention_.rounds(args))
      linear_.rounded(tiles, args.out.data, args.out.rows, args.out.cols);
  }
  void copy_kv_block(KvStorage& kv, std::int32_t from, std::int32_t to) override {
    finish();
    static_cast<CudaKv&>(kv).copy_block(from, to);
  }
  Result<void> read_kv_block(const KvStorage& kv, std::int32_t block,
                             std::span<std::byte> host) override {
    assert(host.size() == kv.shape().block_bytes());
    use_device();
    finish();
    BOBBY_CHECK(sync());
    return static_cast<const CudaKv&>(kv).read_block(block, host.data());
  }
  Result<void> write_kv_block(KvStorage& kv, std::int32_t block,
                              std::span<const std::byte> host) override {
    assert(host.size() == kv.shape().block_bytes());
    use_device();
    finish();
    BOBBY_CHECK(sync());
    return static_cast<CudaKv&>(kv).write_block(block, host.data());
  }
  void swiglu(Activation gate, Activation up, Activation out) override {
    assert(gate.rows * gate.cols == up.rows * up.cols);
    if (recorder_.swiglu(gate, up, out)) return;
    do_noted();
    if (!linear_.deltas().are_of(out.rows, gate.data, up.data)) flush();
    if (linear_.swiglu(gate, up, out)) return;
    flush();
    cuda::swiglu(gate.data, up.data, out.data, gate.rows * gate.cols, stream());
  }
  /// Held back for the rms_norm() of the sum.
  void add(Activation x, Activation y) override {
    assert(x.rows == y.rows && x.cols == y.cols);
    if (recorder_.add(x, y)) return;
    do_noted();
    if (held_add_ || attention_.holds_rope() || !linear_.deltas().are_of(y.rows, y.data)) flush();
    held_add_ = {x, y};
    if (!has_add_norm(x.cols)) flush();
  }
  void select_rows(Activation x, std::span<const std::int32_t> rows, Activation out) override {
    assert(out.rows == static_cast<std::int64_t>(rows.size()) && x.cols == out.cols);
    if (recorder_.select_rows(x, rows, out)) return;
    do_noted();
    flush();
    const std::int32_t* numbers = arguments_.put(rows);
    if (!numbers)
      return remember(fail({.code = ErrorCode::kLimit, .problem = "no memory for row numbers"}));
    cuda::select_rows(x.data, numbers, static_cast<int>(rows.size()), static_cast<int>(x.cols),
                      out.data, stream());
  }
  /// A noted operation, by itself.
  void run(const StepOp& op, const std::vector<LoraRows> (&lora)[kMatrices]);

  Result<void> copy_out(Activation x, std::span<float> host) override;
  Result<double> read_bandwidth() override { return cuda::read_bandwidth(stream()); }
  Result<std::span<const TopLogits>> top_logits(Activation logits) override {
    finish();
    if (failure_) BOBBY_CHECK(sync());
    // Enqueued behind the step and waited for once, without sync().
    BOBBY_TRY(const auto tops, top_logits_.run(logits));
    idle();
    BOBBY_CHECK(check(cudaGetLastError(), "a launch"));
    return tops;
  }
  std::size_t memory_left() override {
    use_device();
    std::size_t left = 0, total = 0;
    return cudaMemGetInfo(&left, &total) == cudaSuccess ? left : 0;
  }
  TrainingOps* training() override;
  Result<void> sync() override;

 private:
  cudaStream_t stream() const { return stream_->get(); }
  static bool same(const Activation& a, const Activation& b) {
    return a.data == b.data && a.rows == b.rows && a.cols == b.cols;
  }
  /// Enqueues what was noted: as one kernel, if it is a step that the kernel knows.
  void do_noted();
  /// Enqueues what is held back, so that one kernel may do it with the operation that follows: what
  /// adapters add to products, rope_and_store(), add().
  void flush();
  void finish() {
    do_noted();
    flush();
  }
  /// The device has done all that it was asked to.
  void idle();
  Result<void> upload(const WeightView& view, std::byte* to);
  Result<void> upload_tiles(const WeightView& view, std::byte* to);
  /// What an operation could not do is reported by the next sync() or copy_out().
  void remember(Result<void> result) {
    if (!result && !failure_) failure_ = std::move(result).error();
  }

  /// The device is a thread's own, and a model is loaded on one thread and run on another: called
  /// by whatever a thread may call first.
  void use_device() { remember(check(cudaSetDevice(device_), "choosing a device")); }

  int device_;
  std::string description_;
  std::unique_ptr<Stream> stream_;
  Uploader uploader_{stream()};
  SlabAllocator slabs_;
  StepArguments arguments_{stream()};
  LinearEngine linear_{stream(), arguments_};
  AttentionEngine attention_{stream()};
  struct HeldAdd {
    Activation x, y;
  };
  std::optional<HeldAdd> held_add_;
  std::shared_ptr<Unfinished> unfinished_ = std::make_shared<Unfinished>();
  StepRecorder recorder_;
  StepRunner steps_{stream()};
  TopLogitsEngine top_logits_{stream()};
  std::vector<LoadedWeight> loaded_;
  std::unique_ptr<CudaTrainingOps> training_;
  std::unique_ptr<DeviceMemory> file_order_;  // rows of a weight before they are put in tile order
  std::optional<Error> failure_;
};

void CudaBackend::flush() {
  linear_.finish_deltas();
  attention_.finish_rope();
  if (const auto held = std::exchange(held_add_, std::nullopt))
    cuda::add(held->x.data, held->y.data, held->x.rows * held->x.cols, stream());
}

void CudaBackend::do_noted() {
  if (recorder_.empty()) return;
  auto done = steps_.run(recorder_);
  if (!done) return remember(fail(std::move(done).error())), recorder_.clear();
  if (*done) return recorder_.clear();
  recorder_.replay(*this);
}

void CudaBackend::run(const StepOp& op, const std::vector<LoraRows> (&lora)[kMatrices]) {
  switch (op.kind) {
    case StepOp::kEmbed:
      return remember(linear_.embed(*op.weight[0], recorder_.tokens(), {}, op.out[0]));
    case StepOp::kRmsNorm:
      return rms_norm(op.in[0], *op.weight[0], static_cast<float>(op.number), op.out[0]);
    case StepOp::kLinear: {
      Projection projections[kMatrices];
      for (std::int64_t i = 0; i < op.count; ++i)
        projections[i] = {
            .weight = op.weight[i], .bias = op.bias[i], .lora = lora[i], .out = op.out[i]};
      return linear(op.in[0], std::span(projections).first(static_cast<std::size_t>(op.count)));
    }
    case StepOp::kRopeAndStore:
      return rope_and_store({.q = op.in[0],
                             .k = op.in[1],
                             .v = op.in[2],
                             .q_norm = op.weight[0],
                             .k_norm = op.weight[1],
                             .rms_norm_eps = static_cast<float>(op.number),
                             .inv_freq = op.weight[2],
                             .sequences = recorder_.sequences(),
                             .kv = op.kv,
                             .layer = op.layer});
    case StepOp::kAttention:
      return attention({.q = op.in[0],
                        .out = op.out[0],
                        .scale = static_cast<float>(op.number),
                        .sequences = recorder_.sequences(),
                        .kv = op.kv,
                        .layer = op.layer});
    case StepOp::kSwiglu: return swiglu(op.in[0], op.in[1], op.out[0]);
    case StepOp::kAdd: return add(op.out[0], op.in[0]);
    case StepOp::kSelectRows: return select_rows(op.in[0], recorder_.selected(), op.out[0]);
  }
}

std::size_t round_up(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

/// As the file has it: levels or elements, then scales, then biases.
Result<void> CudaBackend::upload(const WeightView& view, std::byte* to) {
  const auto rows = static_cast<std::size_t>(view.rows);
  const std::size_t scale_bytes = rows * view.scales_row_bytes();
  std::byte* scales = to + round_up(rows * view.weight_row_bytes());
  BOBBY_CHECK(uploader_.upload(view.weight, rows * view.weight_row_bytes(), to));
  BOBBY_CHECK(uploader_.upload(view.scales, scale_bytes, scales));
  return uploader_.upload(view.biases, scale_bytes, scales + round_up(scale_bytes));
}

/// In tile order, some rows at a time by way of a stretch in the file's order.
Result<void> CudaBackend::upload_tiles(const WeightView& view, std::byte* to) {
  const std::size_t row_bytes = view.weight_row_bytes() + 2 * view.scales_row_bytes();
  const std::size_t tile = kTileRows * row_bytes;
  const std::size_t room = std::max(tile, kReorder / tile * tile);
  if (!file_order_ || file_order_->size() < room + 1024) {
    file_order_.reset();
    BOBBY_TRY(file_order_, DeviceMemory::make(std::max(room, kReorder) + 1024));
  }
  auto* stretch = static_cast<std::byte*>(file_order_->data());
  const auto most = static_cast<std::int64_t>(room / row_bytes);
  WeightView some = view;
  for (std::int64_t begin = 0; begin < view.rows; begin += most) {
    some.rows = std::min(most, view.rows - begin);
    const auto skip = static_cast<std::size_t>(begin);
    some.weight = view.weight + skip * view.weight_row_bytes();
    some.scales = view.scales + skip * view.scales_row_bytes();
    some.biases = view.biases + skip * view.scales_row_bytes();
    BOBBY_CHECK(upload(some, stretch));
    const auto rows = static_cast<std::size_t>(some.rows);
    const std::byte* scales = stretch + round_up(rows * view.weight_row_bytes());
    reorder_tiles(stretch, scales, scales + round_up(rows * view.scales_row_bytes()),
                  static_cast<int>(some.rows), static_cast<int>(view.cols),
                  to + skip / kTileRows * tile_bytes(view.cols), stream());
  }
  return {};
}

Result<std::unique_ptr<Weight>> CudaBackend::load_weight(const WeightView& view) {
  use_device();
  BOBBY_CHECK(check_format(view.format, view.cols, view.name));
  if (std::max(view.rows, view.cols) > std::numeric_limits<int>::max() / 16)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = view.name,
                 .problem = "is larger than the CUDA kernels count",
                 .found = fmt::format("[{}, {}]", view.rows, view.cols)});
  BOBBY_CHECK(linear_.reserve(view.cols));
  const auto rows = static_cast<std::size_t>(view.rows);
  const std::size_t weight_bytes = rows * view.weight_row_bytes();
  const std::size_t scale_bytes = rows * view.scales_row_bytes();
  const std::size_t vector_bytes =
      view.rows == 1 ? static_cast<std::size_t>(view.cols) * sizeof(float) : 0;
  auto piece = slabs_.allocate(round_up(weight_bytes) + 2 * round_up(scale_bytes) + vector_bytes);
  if (!piece) return fail(std::move(piece).error().in(view.name));
  std::byte* scales = piece->data + round_up(weight_bytes);
  std::byte* biases = scales + round_up(scale_bytes);
  auto* vector = reinterpret_cast<float*>(biases + round_up(scale_bytes));
  BOBBY_CHECK(has_tile_order(view) ? upload_tiles(view, piece->data) : upload(view, piece->data));
  if (vector_bytes > 0) {
    std::vector<float> values(static_cast<std::size_t>(view.cols));
    dequantize_row(view, 0, values.data());
    BOBBY_CHECK(uploader_.upload(values.data(), vector_bytes, vector));
  }
  Matrix matrix;
  matrix.weight = piece->data;
  matrix.scales = scales;
  matrix.biases = biases;
  matrix.rows = static_cast<int>(view.rows);
  loaded_.push_back({view.rows, view.cols});
  return std::make_unique<CudaWeight>(view, *std::move(piece), matrix,
                                      vector_bytes > 0 ? vector : nullptr, unfinished_);
}

Result<std::unique_ptr<LoraWeight>> CudaBackend::load_lora(const LoraView& view) {
  use_device();
  const auto a_count = static_cast<std::size_t>(view.rank * view.in_features);
  const auto b_count = static_cast<std::size_t>(view.out_features * view.rank);
  const auto multipliers =
      view.output_multiplier ? static_cast<std::size_t>(view.out_features) : std::size_t{0};
  BOBBY_TRY(auto memory, DeviceMemory::make((a_count + b_count + multipliers) * sizeof(float)));
  auto* a = static_cast<float*>(memory->data());
  float* b = a + a_count;
  float* multiplier = multipliers > 0 ? b + b_count : nullptr;
  BOBBY_CHECK(uploader_.upload(view.a, a_count * sizeof(float), a));
  BOBBY_CHECK(uploader_.upload(view.b, b_count * sizeof(float), b));
  if (multiplier)
    BOBBY_CHECK(uploader_.upload(view.output_multiplier, multipliers * sizeof(float), multiplier));
  return std::make_unique<CudaLora>(view, std::move(memory), a, b, multiplier, unfinished_);
}

Result<void> CudaBackend::copy_out(Activation x, std::span<float> host) {
  assert(static_cast<std::int64_t>(host.size()) == x.rows * x.cols);
  finish();
  BOBBY_CHECK(uploader_.download(x.data, host.size_bytes(), host.data()));
  return sync();
}

void CudaBackend::idle() {
  arguments_.reset();
  attention_.synced();
  steps_.synced();
}

Result<void> CudaBackend::sync() {
  finish();
  const cudaError_t waited = cudaStreamSynchronize(stream());
  const cudaError_t launched = cudaGetLastError();
  idle();
  if (failure_) return fail(*std::exchange(failure_, std::nullopt));
  BOBBY_CHECK(check(waited, "a step"));
  return check(launched, "a launch");
}

TrainingOps* CudaBackend::training() {
  use_device();
  if (!training_)
    training_ = make_training_ops(
        {.stream = stream(),
         .uploader = &uploader_,
         .embed = [this](const Weight& table, std::span<const std::int32_t> tokens,
                         Activation out) { return linear_.embed(table, tokens, {}, out); },
         .finish = [this] { finish(); },
         .sync = [this] { return sync(); }},
        loaded_);
  return training_.get();
}

Error no_device(int index, std::string problem, std::string found = {}) {
  return {.code = ErrorCode::kUnsupported,
          .where = fmt::format("--device cuda:{}", index),
          .problem = std::move(problem),
          .found = std::move(found),
          .hint = "--device cpu works everywhere"};
}

}  // namespace

Result<std::unique_ptr<Backend>> make_cuda_backend(const CudaOptions& options) {
  int count = 0;
  if (const cudaError_t code = cudaGetDeviceCount(&count); code != cudaSuccess || count == 0)
    return fail(no_device(options.device, "this machine has no CUDA device that can be used",
                          code == cudaSuccess ? "" : cudaGetErrorString(code)));
  if (options.device < 0 || options.device >= count)
    return fail(no_device(options.device, "there is no such CUDA device",
                          fmt::format("{} of them, from 0 on", count)));
  BOBBY_CHECK(check(cudaSetDevice(options.device), "choosing a device"));
  cudaDeviceProp properties = {};
  BOBBY_CHECK(check(cudaGetDeviceProperties(&properties, options.device), "a device"));
  if (properties.major < 8)
    return fail(no_device(
        options.device, "is too old: compute capability 8.0 is the least",
        fmt::format("{} with {}.{}", properties.name, properties.major, properties.minor)));
  BOBBY_TRY(auto stream, Stream::make());
  return std::make_unique<CudaBackend>(
      options.device,
      fmt::format("{}, {} multiprocessors, {:.0f} GB", properties.name,
                  properties.multiProcessorCount,
                  static_cast<double>(properties.totalGlobalMem) / 1e9),
      std::move(stream));
}

}  // namespace bobby
