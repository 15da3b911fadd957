#include "backends/mlx/row_attention.h"

#include <fmt/format.h>

#include "backends/mlx/kernel_source.h"
#include "backends/mlx/row_attention_kernel.h"

namespace bobby::mlx_backend {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

std::string constants_of(const KvShape& shape, float scale) {
  return fmt::format(
      "using Cell = {};\nconstexpr int kHeadDim = {};\nconstexpr int kBlockTokens = {};\n"
      "constexpr float kScale = {:.9e}f;\n",
      shape.format == KvFormat::kF16 ? "__half" : "float", shape.head_dim, shape.block_tokens,
      scale);
}

}  // namespace

bool RowAttention::takes(const StepRows& rows, const KvShape& shape) {
  return rows.one_each() && shape.format != KvFormat::kInt8 && shape.head_dim % kWarp == 0 &&
         shape.head_dim <= 256;
}

const RowAttention::Kernels& RowAttention::kernels(const KvShape& shape, float scale) {
  const Key key{shape.head_dim, shape.block_tokens, shape.format, scale};
  if (const auto found = kernels_.find(key); found != kernels_.end()) return found->second;
  const std::string header = kernel_source(constants_of(shape, scale), kRowAttentionHeader);
  return kernels_
      .emplace(key, Kernels{mx::fast::cuda_kernel("bobby_rope_store",
                                                  {"q", "k", "v", "q_norm", "k_norm", "eps",
                                                   "inv_freq", "table", "keys", "values"},
                                                  {"rotated_q", "rotated_k"},
                                                  kernel_source(kRopeStoreBody), header),
                            mx::fast::cuda_kernel("bobby_row_attention",
                                                  {"q", "keys", "values", "table"}, {"y"},
                                                  kernel_source(kRowAttentionBody), header)})
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
  // The cache is the same whatever it is scaled by: 1 here, so that one kernel serves every model.
  const auto rotated =
      kernels(shape, 1.0f)
          .rope_store({input.q, input.k.value_or(input.q), input.v.value_or(input.q),
                       norms.q.value_or(none), norms.k.value_or(none), constants_.of(norms.eps),
                       inv_freq, rows.table(), keys, values},
                      {{count, q_heads * head_dim}, {count, kv_heads * head_dim}},
                      {mx::float32, mx::float32}, {(q_heads + 2 * kv_heads) * kWarp, count, 1},
                      {kWarp, 1, 1}, {}, std::nullopt, false, machine_.stream);
  kv.stored_by(rotated.front());
  return {rotated.front(), rotated.back()};
}

mx::array RowAttention::attend(const mx::array& q, float scale, const MlxKv& kv, std::int64_t layer,
                               const StepRows& rows) {
  const int heads = q.shape(1) / size_of(kv.shape().head_dim);
  const auto [keys, values] = kv.stored(layer);
  return kernels(kv.shape(), scale)
      .attend({q, keys, values, rows.table()}, {q.shape()}, {mx::float32},
              {heads * kThreads, q.shape(0), 1}, {kThreads, 1, 1}, {}, std::nullopt, false,
              machine_.stream)
      .front();
}

}  // namespace bobby::mlx_backend
