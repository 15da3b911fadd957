#include "backends/mlx/row_attention.h"

#include <algorithm>
#include <fmt/format.h>
#include <span>

#include "backends/mlx/kernel_source.h"

namespace bobby::mlx_backend {
namespace {

constexpr int kWarp = 32;

/// "<__half, 128, 16>": what the kernels are made for.
std::string made_for(const KvShape& shape) {
  return fmt::format("<{}, {}, {}>", shape.format == KvFormat::kF16 ? "__half" : "float",
                     shape.head_dim, shape.block_tokens);
}

constexpr const char* kPlaces = "{table, table_shape[1], offset_shape[0] - 1}";
constexpr const char* kCache = "{keys, values, keys_shape[1]}";

}  // namespace

std::int64_t RowTable::gained(const StepRows& rows, std::int64_t block_tokens) const {
  if (rows_.size() != rows.count()) return -1;
  const std::int64_t gained = rows.sequence(0).position - rows_[0].position;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const SequenceRows& now = rows.sequence(i);
    const auto used = static_cast<std::size_t>(now.position / block_tokens + 1);
    if (now.position - rows_[i].position != gained || used > rows_[i].blocks.size() ||
        !std::equal(now.blocks.begin(), now.blocks.begin() + static_cast<std::ptrdiff_t>(used),
                    rows_[i].blocks.begin()))
      return -1;
  }
  return gained;
}

void RowTable::make(const StepRows& rows) {
  rows_.clear();
  std::size_t width = 1;
  for (std::size_t i = 0; i < rows.count(); ++i) {
    const SequenceRows& now = rows.sequence(i);
    rows_.push_back({now.position, {now.blocks.begin(), now.blocks.end()}});
    width = std::max(width, 1 + now.blocks.size());
  }
  std::vector<std::int32_t> numbers(rows_.size() * width);
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const auto row = std::span(numbers).subspan(i * width, width);
    row[0] = static_cast<std::int32_t>(rows_[i].position);
    std::ranges::copy(rows_[i].blocks, row.begin() + 1);
  }
  table_ =
      load_integers(numbers, {static_cast<int>(rows_.size()), static_cast<int>(width)}, machine_);
}

void RowTable::follow(const StepRows& rows, std::int64_t block_tokens) {
  std::int64_t offset = gained(rows, block_tokens);
  if (offset < 0) {
    make(rows);
    offset = 0;
  }
  if (!offset_ || offset_->size() != static_cast<std::size_t>(offset) + 1)
    offset_ = mx::broadcast_to(zero_, {size_of(offset + 1)}, machine_.stream);
}

bool RowAttention::takes(const StepRows& rows, const KvShape& shape) {
  return rows.one_each() && shape.format != KvFormat::kInt8 && shape.head_dim % kWarp == 0 &&
         shape.head_dim <= 256;
}

const RowAttention::Kernels& RowAttention::kernels(const KvShape& shape) {
  const Key key{shape.head_dim, shape.block_tokens, shape.format};
  if (const auto found = kernels_.find(key); found != kernels_.end()) return found->second;
  const std::string header = kernel_source({"row_attention.cuh"});
  const std::string rope_store = fmt::format(
      "rope_store{}({{q, q_shape[1], k, k_shape[1], v}}, {{q_norm, q_norm_shape[0]}}, "
      "{{k_norm, k_norm_shape[0]}}, eps[0], inv_freq, {}, {}, rotated_q, rotated_k);",
      made_for(shape), kPlaces, kCache);
  const std::string attend =
      fmt::format("row_attention{}(q, {}, {}, scale[0], y);", made_for(shape), kCache, kPlaces);
  return kernels_
      .emplace(key,
               Kernels{mx::fast::cuda_kernel("bobby_rope_store",
                                             {"q", "k", "v", "q_norm", "k_norm", "eps", "inv_freq",
                                              "table", "offset", "keys", "values"},
                                             {"rotated_q", "rotated_k"}, rope_store, header, false),
                       mx::fast::cuda_kernel("bobby_row_attention",
                                             {"q", "keys", "values", "table", "offset", "scale"},
                                             {"y"}, attend, header, false)})
      .first->second;
}

RowAttention::Rotated RowAttention::rope_and_store(const Input& input, int q_heads,
                                                   const Norms& norms, const mx::array& inv_freq,
                                                   MlxKv& kv, std::int64_t layer,
                                                   const StepRows& rows) {
  const KvShape& shape = kv.shape();
  const int head_dim = size_of(shape.head_dim), kv_heads = size_of(shape.num_key_value_heads);
  const int count = input.q.shape(0);
  const mx::array& none = constants_.of(0.0f);
  const auto [keys, values] = kv.to_store_in(layer, rows);
  table_.follow(rows, shape.block_tokens);
  const auto rotated = kernels(shape).rope_store(
      {input.q, input.k.value_or(input.q), input.v.value_or(input.q), norms.q.value_or(none),
       norms.k.value_or(none), constants_.of(norms.eps), inv_freq, table_.table(), table_.offset(),
       keys, values},
      {{count, q_heads * head_dim}, {count, kv_heads * head_dim}}, {mx::float32, mx::float32},
      {(q_heads + 2 * kv_heads) * kWarp, count, 1}, {kWarp, 1, 1}, {}, std::nullopt, false,
      machine_.stream);
  kv.stored_by(rotated.front());
  return {rotated.front(), rotated.back()};
}

mx::array RowAttention::attend(const mx::array& q, float scale, const MlxKv& kv, std::int64_t layer,
                               const StepRows& rows) {
  const int heads = q.shape(1) / size_of(kv.shape().head_dim);
  const auto [keys, values] = kv.stored(layer);
  table_.follow(rows, kv.shape().block_tokens);
  return kernels(kv.shape())
      .attend({q, keys, values, table_.table(), table_.offset(), constants_.of(scale)}, {q.shape()},
              {mx::float32}, {heads * kThreads, q.shape(0), 1}, {kThreads, 1, 1}, {}, std::nullopt,
              false, machine_.stream)
      .front();
}

}  // namespace bobby::mlx_backend
