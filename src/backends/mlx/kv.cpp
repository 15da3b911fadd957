#include "backends/mlx/kv.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>
#include <utility>

namespace bobby::mlx_backend {
namespace {

constexpr float kLargestHalf = 65504.0f;
constexpr std::int64_t kFirstBlocks = 16;

/// From the start of a pool's tokens on.
mx::Shape begin_of(std::int64_t token) {
  return {size_of(token), 0, 0, 0};
}
mx::Shape end_of(const mx::array& pool, std::int64_t token) {
  return {size_of(token), pool.shape(1), 1, pool.shape(3)};
}

mx::array update(mx::array pool, const mx::array& rows, const TokenSlots& slots,
                 const Machine& machine) {
  if (slots.begin >= 0)
    return mx::slice_update(pool, rows, begin_of(slots.begin),
                            end_of(pool, slots.begin + slots.count), machine.stream);
  return mx::scatter(pool, *slots.numbers, mx::expand_dims(rows, 1, machine.stream), 0,
                     machine.stream);
}

mx::array tokens_of(const mx::array& pool, const TokenSlots& slots, const Machine& machine) {
  if (slots.begin >= 0)
    return mx::slice(pool, begin_of(slots.begin), end_of(pool, slots.begin + slots.count),
                     machine.stream);
  return mx::take(pool, *slots.numbers, 0, machine.stream);
}

/// A copy of what the host has.
mx::array from_host(const std::vector<std::byte>& bytes, const mx::Shape& shape, mx::Dtype dtype) {
  if (dtype == mx::int8)
    return mx::array(reinterpret_cast<const std::int8_t*>(bytes.data()), shape, dtype);
  if (dtype == mx::float16)
    return mx::array(reinterpret_cast<const mx::float16_t*>(bytes.data()), shape, dtype);
  return mx::array(reinterpret_cast<const float*>(bytes.data()), shape, dtype);
}

using Function = std::function<std::vector<mx::array>(const std::vector<mx::array>&)>;

Function half_encoder(const Machine& machine) {
  // The bounds are made once: on CUDA, a number from the host waits for the device.
  const mx::array lowest(-kLargestHalf), largest(kLargestHalf);
  Function encode = [lowest, largest, s = machine.stream](const std::vector<mx::array>& numbers) {
    const mx::array fitting = mx::maximum(mx::minimum(numbers[0], largest, s), lowest, s);
    return std::vector<mx::array>{mx::astype(fitting, mx::float16, s)};
  };
  return machine.gpu ? mx::compile(encode, true) : encode;
}

}  // namespace

void finish(const KvPools& pools) {
  std::vector<mx::array> all;
  for (const KvPool& pool : pools) {
    all.push_back(pool.numbers);
    if (pool.scales) all.push_back(*pool.scales);
  }
  mx::eval(std::move(all));
}

MlxKv::MlxKv(const KvShape& shape, const Machine& machine)
    : KvStorage(shape), machine_(machine), to_half_(half_encoder(machine)) {
  const int heads = size_of(shape.num_key_value_heads);
  const mx::array none = mx::zeros({0, heads, 1, size_of(shape.head_dim)}, dtype(), machine.stream);
  KvPool pool{none, std::nullopt};
  if (shape.format == KvFormat::kInt8)
    pool.scales = mx::zeros({0, heads, 1, 1}, mx::float32, machine.stream);
  pools_ = std::make_shared<KvPools>(static_cast<std::size_t>(shape.layers * 2), pool);
}

mx::Dtype MlxKv::dtype() const {
  switch (shape().format) {
    case KvFormat::kF32: return mx::float32;
    case KvFormat::kF16: return mx::float16;
    case KvFormat::kInt8: return mx::int8;
  }
  return mx::float32;
}

KvPool& MlxKv::pool(std::int64_t layer, Part part) const {
  assert(layer >= 0 && layer < shape().layers);
  return (*pools_)[static_cast<std::size_t>(layer * 2 + part)];
}

void MlxKv::reach(std::int32_t block) {
  if (block < blocks_) return;
  settle();
  const std::int64_t wanted = std::max({std::int64_t{block} + 1, blocks_ * 3 / 2, kFirstBlocks});
  const std::int64_t blocks = std::min(wanted, shape().blocks);
  const int more = size_of((blocks - blocks_) * shape().block_tokens);
  const auto grow = [&](mx::array& numbers) {
    const mx::array zeros =
        mx::zeros({more, numbers.shape(1), 1, numbers.shape(3)}, numbers.dtype(), machine_.stream);
    numbers = mx::concatenate({numbers, zeros}, 0, machine_.stream);
  };
  for (KvPool& pool : *pools_) {
    grow(pool.numbers);
    if (pool.scales) grow(*pool.scales);
  }
  finish(*pools_);  // never the old and the new of all layers together
  blocks_ = blocks;
}

KvPool MlxKv::encode(const mx::array& numbers) const {
  const mx::Stream& s = machine_.stream;
  switch (shape().format) {
    case KvFormat::kF32: break;
    case KvFormat::kF16: return {to_half_({numbers}).front(), std::nullopt};
    case KvFormat::kInt8: {
      const mx::array largest = mx::max(mx::abs(numbers, s), -1, true, s);
      const mx::array scale = mx::divide(largest, mx::array(127.0f), s);
      const mx::array step = mx::where(mx::greater(scale, mx::array(0.0f), s), scale,
                                       mx::array(std::numeric_limits<float>::infinity()), s);
      const mx::array levels = mx::clip(mx::round(mx::divide(numbers, step, s), 0, s),
                                        mx::array(-127.0f), mx::array(127.0f), s);
      const mx::array known = mx::where(mx::isfinite(largest, s), scale,
                                        mx::array(std::numeric_limits<float>::quiet_NaN()), s);
      return {mx::astype(levels, mx::int8, s), known};
    }
  }
  return {numbers, std::nullopt};
}

mx::array MlxKv::decode(const mx::array& numbers, const std::optional<mx::array>& scales,
                        mx::Dtype dtype) const {
  if (!scales) return mx::astype(numbers, dtype, machine_.stream);
  const mx::array wide = mx::astype(numbers, mx::float32, machine_.stream);
  return mx::astype(mx::multiply(wide, *scales, machine_.stream), dtype, machine_.stream);
}

std::pair<const mx::array&, const mx::array&> MlxKv::to_store_in(std::int64_t layer,
                                                                 const StepRows& rows) {
  reach(rows.highest_block());
  return stored(layer);
}

std::pair<const mx::array&, const mx::array&> MlxKv::stored(std::int64_t layer) const {
  return {pool(layer, kKeys).numbers, pool(layer, kValues).numbers};
}

void MlxKv::stored_by(mx::array result) {
  // A step computes them all in the end; what waits is the step under way.
  if (static_cast<std::int64_t>(unsettled_.size()) >= shape().layers) forget_begun();
  unsettled_.push_back(std::move(result));
}

void MlxKv::forget_begun() const {
  std::erase_if(unsettled_, [](const mx::array& result) {
    return result.status() != mx::array::Status::unscheduled;
  });
}

/// MLX knows nothing of writes in place: it must have begun with them before it reads or copies.
void MlxKv::settle() const {
  forget_begun();
  if (!unsettled_.empty()) mx::async_eval(std::exchange(unsettled_, {}));
}

void MlxKv::store(std::int64_t layer, mx::array keys, mx::array values, const StepRows& rows) {
  settle();
  reach(rows.highest_block());
  for (const Part part : {kKeys, kValues}) {
    const KvPool stored = encode(part == kKeys ? keys : values);
    KvPool& pool = this->pool(layer, part);
    pool.numbers = update(std::move(pool.numbers), stored.numbers, rows.stored(), machine_);
    if (pool.scales)
      pool.scales = update(*std::move(pool.scales), *stored.scales, rows.stored(), machine_);
  }
}

MlxKv::View MlxKv::view(std::int64_t layer, const TokenSlots& slots, mx::Dtype dtype) const {
  settle();
  const auto part = [&](Part which) {
    const KvPool& pool = this->pool(layer, which);
    std::optional<mx::array> scales;
    if (pool.scales) scales = tokens_of(*pool.scales, slots, machine_);
    const mx::array tokens = decode(tokens_of(pool.numbers, slots, machine_), scales, dtype);
    return mx::transpose(tokens, {2, 1, 0, 3}, machine_.stream);
  };
  return {part(kKeys), part(kValues)};
}

MlxKv::View MlxKv::gather(std::int64_t layer, const mx::array& slots) const {
  settle();
  const mx::Stream& s = machine_.stream;
  const auto part = [&](Part which) {
    const KvPool& pool = this->pool(layer, which);
    std::optional<mx::array> scales;
    if (pool.scales) scales = mx::take(*pool.scales, slots, 0, s);
    const mx::array tokens = decode(mx::take(pool.numbers, slots, 0, s), scales, mx::float32);
    return mx::transpose(mx::squeeze(tokens, 3, s), {0, 2, 1, 3}, s);
  };
  return {part(kKeys), part(kValues)};
}

void MlxKv::copy_block(std::int32_t from, std::int32_t to) {
  settle();
  reach(std::max(from, to));
  const int tokens = size_of(shape().block_tokens);
  const auto copy = [&](mx::array& numbers) {
    const mx::array block = mx::contiguous(whole_block(numbers, from), false, machine_.stream);
    numbers = update(std::move(numbers), block,
                     {.count = tokens, .begin = std::int64_t{to} * tokens}, machine_);
  };
  for (KvPool& pool : *pools_) {
    copy(pool.numbers);
    if (pool.scales) copy(*pool.scales);
  }
}

mx::array MlxKv::whole_block(const mx::array& pool, std::int32_t block) const {
  const std::int64_t tokens = shape().block_tokens;
  return mx::slice(pool, begin_of(block * tokens), end_of(pool, (block + 1) * tokens),
                   machine_.stream);
}

void MlxKv::read_block(std::int32_t block, std::byte* host) const {
  if (block >= blocks_) {  // nothing was stored there yet
    std::fill_n(host, shape().block_bytes(), std::byte{0});
    return;
  }
  settle();
  const std::size_t head_bytes = shape().head_block_bytes();
  const auto heads = static_cast<std::size_t>(shape().num_key_value_heads);
  const auto tokens = static_cast<std::size_t>(shape().block_tokens);
  for (const KvPool& pool : *pools_) {
    const auto copy = [&](const mx::array& numbers, std::size_t offset) {
      mx::array by_head = mx::contiguous(
          mx::swapaxes(whole_block(numbers, block), 0, 1, machine_.stream), false, machine_.stream);
      mx::eval(by_head);
      const std::size_t bytes = by_head.nbytes() / heads;
      for (std::size_t head = 0; head < heads; ++head)
        std::memcpy(host + head * head_bytes + offset, by_head.data<char>() + head * bytes, bytes);
    };
    copy(pool.numbers, 0);
    if (pool.scales) copy(*pool.scales, head_bytes - tokens * sizeof(float));
    host += heads * head_bytes;
  }
}

void MlxKv::write_block(std::int32_t block, const std::byte* host) {
  settle();
  reach(block);
  const std::size_t head_bytes = shape().head_block_bytes();
  const int heads = size_of(shape().num_key_value_heads);
  const int tokens = size_of(shape().block_tokens);
  for (KvPool& pool : *pools_) {
    const auto copy = [&](mx::array& numbers, std::size_t offset) {
      const int width = numbers.shape(3);
      const std::size_t bytes = static_cast<std::size_t>(tokens * width) * numbers.itemsize();
      std::vector<std::byte> all(bytes * static_cast<std::size_t>(heads));
      for (std::size_t head = 0; head < static_cast<std::size_t>(heads); ++head)
        std::memcpy(all.data() + head * bytes, host + head * head_bytes + offset, bytes);
      const mx::array by_head = from_host(all, {heads, tokens, 1, width}, numbers.dtype());
      numbers = update(std::move(numbers), mx::swapaxes(by_head, 0, 1, machine_.stream),
                       {.count = tokens, .begin = std::int64_t{block} * tokens}, machine_);
    };
    copy(pool.numbers, 0);
    if (pool.scales) copy(*pool.scales, head_bytes - static_cast<std::size_t>(tokens) * 4);
    host += static_cast<std::size_t>(heads) * head_bytes;
  }
  finish(*pools_);
}

/// Of what is kept now, and never less than before: what was overwritten since was counted if
/// somebody asked in between.
std::uint64_t MlxKv::saturated() const {
  if (shape().format != KvFormat::kF16 || blocks_ == 0) return saturated_;
  settle();
  const mx::Stream& s = machine_.stream;
  mx::array count = mx::array(0u);
  for (const KvPool& pool : *pools_) {
    const mx::array largest =
        mx::equal(mx::abs(pool.numbers, s), mx::array(kLargestHalf, mx::float16), s);
    count = mx::add(count, mx::sum(mx::astype(largest, mx::uint32, s), s), s);
  }
  saturated_ = std::max<std::uint64_t>(saturated_, count.item<std::uint32_t>());
  return saturated_;
}

}  // namespace bobby::mlx_backend
