#include "backends/mlx/attention.h"

#include <cassert>
#include <utility>
#include <vector>

#include "backends/mlx/weight.h"

namespace bobby::mlx_backend {
namespace {

mx::array heads_of(const mx::array& x, std::int64_t head_dim, const Machine& machine) {
  const int dim = size_of(head_dim);
  return mx::reshape(x, {x.shape(0), x.shape(1) / dim, dim}, machine.stream);
}

/// Whether MLX has one kernel for one row's attention, which sums in fp32 whatever it reads.
bool has_row_kernel(std::int64_t head_dim) {
  return head_dim == 64 || head_dim == 96 || head_dim == 128;
}

}  // namespace

const StepRows& AttentionEngine::rows_of(std::span<const SequenceRows> sequences,
                                         std::int64_t block_tokens) {
  if (!rows_ || !rows_->is_of(sequences, block_tokens))
    rows_.emplace(sequences, block_tokens, machine_);
  return *rows_;
}

/// MLX is told them in place of the frequencies.
const mx::array& AttentionEngine::wavelengths(const Weight& inv_freq) {
  const MlxWeight& weight = of_mlx(inv_freq);
  if (wavelengths_of_ != weight.id()) {
    wavelengths_ = mx::reciprocal(weight.vector(), machine_.stream);
    mx::eval(*wavelengths_);
    wavelengths_of_ = weight.id();
  }
  return *wavelengths_;
}

mx::array AttentionEngine::rotate(Activation x, const Weight* norm, const RopeStore& args,
                                  const StepRows& rows) {
  const mx::Stream& s = machine_.stream;
  const std::int64_t head_dim = args.kv->shape().head_dim;
  mx::array heads = heads_of(activations_.read(x), head_dim, machine_);
  if (norm) heads = mx::fast::rms_norm(heads, of_mlx(*norm).vector(), args.rms_norm_eps, s);
  // Every row is a sequence of one token at a position of its own.
  const mx::array rotated =
      mx::fast::rope(mx::expand_dims(heads, 2, s), size_of(head_dim), false, std::nullopt, 1.0f,
                     rows.positions(), wavelengths(*args.inv_freq), s);
  return mx::squeeze(rotated, 2, s);
}

void AttentionEngine::rope_and_store(const RopeStore& args) {
  auto& kv = static_cast<MlxKv&>(*args.kv);
  const StepRows& rows = rows_of(args.sequences, kv.shape().block_tokens);
  const mx::array q = rotate(args.q, args.q_norm, args, rows);
  const mx::array k = rotate(args.k, args.k_norm, args, rows);
  const auto flat = [this](const mx::array& heads) {
    return mx::flatten(heads, 1, 2, machine_.stream);
  };
  activations_.write(args.q, flat(q));
  activations_.write(args.k, flat(k));
  kv.store(args.layer, k, heads_of(activations_.read(args.v), kv.shape().head_dim, machine_), rows);
}

void AttentionEngine::attention(const Attention& args) {
  const mx::Stream& s = machine_.stream;
  const auto& kv = static_cast<const MlxKv&>(*args.kv);
  const StepRows& rows = rows_of(args.sequences, kv.shape().block_tokens);
  const mx::array q = heads_of(activations_.read(args.q), kv.shape().head_dim, machine_);
  std::vector<mx::array> parts;
  for (const AttentionGroup& group : rows.groups()) parts.push_back(attend(args, q, group));
  activations_.write(args.out, parts.size() == 1 ? parts.front() : mx::concatenate(parts, 0, s));
}

/// [rows of the group, heads * head_dim]
mx::array AttentionEngine::attend(const Attention& args, const mx::array& q,
                                  const AttentionGroup& group) const {
  const mx::Stream& s = machine_.stream;
  const auto& kv = static_cast<const MlxKv&>(*args.kv);
  const int rows = size_of(group.row_count);
  const mx::array own =
      rows == q.shape(0)
          ? q
          : mx::slice(q, mx::Shape{size_of(group.row_begin), 0, 0},
                      mx::Shape{size_of(group.row_begin) + rows, q.shape(1), q.shape(2)}, s);
  const auto flat = [&](const mx::array& heads) {
    return mx::reshape(heads, {rows, q.shape(1) * q.shape(2)}, s);
  };
  if (group.slots) {
    const auto [keys, values] = kv.gather(args.layer, *group.slots);
    return flat(mx::fast::scaled_dot_product_attention(mx::expand_dims(own, 2, s), keys, values,
                                                       args.scale, "", group.mask, std::nullopt,
                                                       false, s));
  }
  // Several rows' scores go through memory, where fp16 would round them.
  const bool halves = kv.shape().format == KvFormat::kF16 && machine_.gpu && rows == 1 &&
                      has_row_kernel(kv.shape().head_dim);
  const mx::Dtype dtype = halves ? mx::float16 : mx::float32;
  const auto [keys, values] = kv.view(args.layer, group.tokens, dtype);
  const mx::array queries = mx::expand_dims(mx::swapaxes(mx::astype(own, dtype, s), 0, 1, s), 0, s);
  const mx::array out = mx::fast::scaled_dot_product_attention(
      queries, keys, values, args.scale, rows == 1 ? "" : "causal", std::nullopt, std::nullopt,
      false, s);
  return flat(mx::astype(mx::swapaxes(out, 1, 2, s), mx::float32, s));
}

}  // namespace bobby::mlx_backend
