#include "backends/reference/reference.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <new>
#include <string>

#include "backends/reference/kv.h"
#include "backends/reference/ops.h"
#include "tensor/formats/affine.h"

namespace bobby {
namespace {

constexpr std::align_val_t kAlignment{64};

class HostBuffer : public Buffer {
 public:
  HostBuffer(void* data, std::size_t size) : data_(data), size_(size) {
    std::memset(data, 0, size);
  }
  ~HostBuffer() override { ::operator delete(data_, kAlignment); }
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  void* data() const override { return data_; }
  std::size_t size() const override { return size_; }

 private:
  void* data_;
  std::size_t size_;
};

class ReferenceBackend : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  std::string description() const override {
    return "reference: plain loops, 1 thread, fp32 with fp64 sums";
  }

  Result<void> supports(const WeightFormat& format) const override {
    // Any width that every format divides: the shape is asked about when a weight is loaded.
    return check_format(format, kAffineGroupSizes.back(), format.to_string());
  }

  Result<std::unique_ptr<Buffer>> allocate(std::size_t bytes) override {
    void* data = ::operator new(std::max<std::size_t>(bytes, 1), kAlignment, std::nothrow);
    if (!data)
      return fail({.code = ErrorCode::kLimit,
                   .problem = fmt::format("the system has no {} bytes of memory left", bytes)});
    return std::make_unique<HostBuffer>(data, bytes);
  }

  Result<std::unique_ptr<Weight>> load_weight(const WeightView& view) override {
    BOBBY_CHECK(check_format(view.format, view.cols, view.name));
    return std::make_unique<Weight>(view);
  }

  Result<std::unique_ptr<LoraWeight>> load_lora(const LoraView& view) override {
    return std::make_unique<LoraWeight>(view);
  }

  Result<std::unique_ptr<KvStorage>> allocate_kv(const KvShape& shape) override {
    assert(shape.layers > 0 && shape.num_key_value_heads > 0 && shape.head_dim > 0);
    assert(shape.block_tokens > 0 && shape.blocks > 0);
    const bool possible = shape.bytes_at_most() < 0x1p62;
    auto memory = possible ? allocate(static_cast<std::size_t>(shape.blocks) * shape.block_bytes())
                           : fail({});
    if (!memory)
      return fail({.code = ErrorCode::kLimit,
                   .where = "KV cache",
                   .problem = fmt::format("the system has no {:.0f} bytes of memory left",
                                          shape.bytes_at_most()),
                   .hint = "ask for a shorter context or fewer sequences"});
    return std::make_unique<reference::HostKv>(shape, *std::move(memory));
  }

  void embed(const Weight& table, std::span<const std::int32_t> tokens,
             std::span<const LoraRows> lora, Activation out) override {
    reference::embed(table, tokens, lora, out);
  }
  void rms_norm(Activation x, const Weight& weight, float eps, Activation out) override {
    reference::rms_norm(x, weight, eps, out);
  }
  void linear(Activation x, std::span<const Projection> projections) override {
    reference::linear(x, projections);
  }
  void rope_and_store(const RopeStore& args) override { reference::rope_and_store(args); }
  void attention(const Attention& args) override { reference::attention(args); }
  void copy_kv_block(KvStorage& kv, std::int32_t from, std::int32_t to) override {
    static_cast<reference::HostKv&>(kv).copy_block(from, to);
  }
  Result<void> read_kv_block(const KvStorage& kv, std::int32_t block,
                             std::span<std::byte> host) override {
    assert(host.size() == kv.shape().block_bytes());
    static_cast<const reference::HostKv&>(kv).read_block(block, host.data());
    return {};
  }
  Result<void> write_kv_block(KvStorage& kv, std::int32_t block,
                              std::span<const std::byte> host) override {
    assert(host.size() == kv.shape().block_bytes());
    static_cast<reference::HostKv&>(kv).write_block(block, host.data());
    return {};
  }

  void swiglu(Activation gate, Activation up, Activation out) override {
    assert(gate.rows * gate.cols == up.rows * up.cols);
    for (std::int64_t i = 0; i < gate.rows * gate.cols; ++i) {
      const double g = gate.data[i];
      out.data[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * up.data[i]);
    }
  }

  void add(Activation x, Activation y) override {
    assert(x.rows == y.rows && x.cols == y.cols);
    for (std::int64_t i = 0; i < x.rows * x.cols; ++i) x.data[i] += y.data[i];
  }

  void select_rows(Activation x, std::span<const std::int32_t> rows, Activation out) override {
    assert(out.rows == static_cast<std::int64_t>(rows.size()) && x.cols == out.cols);
    for (std::int64_t i = 0; i < out.rows; ++i) {
      const std::int64_t row = rows[static_cast<std::size_t>(i)];
      assert(row >= 0 && row < x.rows);
      std::copy_n(x.data + row * x.cols, x.cols, out.data + i * x.cols);
    }
  }

  Result<void> copy_out(Activation x, std::span<float> host) override {
    assert(static_cast<std::int64_t>(host.size()) == x.rows * x.cols);
    std::copy_n(x.data, host.size(), host.data());
    return {};
  }
  Result<void> sync() override { return {}; }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace bobby
