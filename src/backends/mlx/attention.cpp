#include "backends/mlx/attention.h"

#include <string>
#include <utility>
#include <vector>

#include "backends/mlx/weight.h"

namespace bobby::mlx_backend {
namespace {

/// [rows, heads, 1, head_dim]: every row is a sequence of one token.
mx::Shape heads_of(Activation x, std::int64_t head_dim) {
  return {size_of(x.rows), size_of(x.cols / head_dim), 1, size_of(head_dim)};
}

// MLX's kernel for CUDA asks for blocks that are too deep where heads are narrower.
constexpr std::int64_t kNarrowest = 32;

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
  mx::array heads = activations_.read(x, heads_of(x, head_dim));
  if (norm) heads = mx::fast::rms_norm(heads, of_mlx(*norm).vector(), args.rms_norm_eps, s);
  if (machine_.cuda && head_dim < kNarrowest)
    return rotate_by_parts(heads, of_mlx(*args.inv_freq).vector(), rows);
  return mx::fast::rope(heads, size_of(head_dim), false, std::nullopt, 1.0f, rows.positions(),
                        wavelengths(*args.inv_freq), s);
}

mx::array AttentionEngine::rotate_by_parts(const mx::array& heads, const mx::array& inv_freq,
                                           const StepRows& rows) const {
  const mx::Stream& s = machine_.stream;
  const mx::array positions =
      mx::reshape(mx::astype(rows.positions(), mx::float32, s), {heads.shape(0), 1, 1, 1}, s);
  const mx::array angles = mx::multiply(positions, inv_freq, s);
  const mx::array cosines = mx::cos(angles, s), sines = mx::sin(angles, s);
  const auto halves = mx::split(heads, 2, 3, s);
  const mx::array first =
      mx::subtract(mx::multiply(halves[0], cosines, s), mx::multiply(halves[1], sines, s), s);
  const mx::array second =
      mx::add(mx::multiply(halves[1], cosines, s), mx::multiply(halves[0], sines, s), s);
  return mx::concatenate({first, second}, 3, s);
}

void AttentionEngine::rope_and_store(const RopeStore& args) {
  auto& kv = static_cast<MlxKv&>(*args.kv);
  const StepRows& rows = rows_of(args.sequences, kv.shape().block_tokens);
  if (row_attention_ && RowAttention::takes(rows, kv.shape()))
    return rope_and_store_rows(args, rows);
  const mx::array k = rotate(args.k, args.k_norm, args, rows);
  activations_.write(args.q, rotate(args.q, args.q_norm, args, rows));
  activations_.write(args.k, k);
  kv.store(args.layer, k, activations_.read(args.v, heads_of(args.v, kv.shape().head_dim)), rows);
}

void AttentionEngine::rope_and_store_rows(const RopeStore& args, const StepRows& rows) {
  auto& kv = static_cast<MlxKv&>(*args.kv);
  const auto norm_of = [](const Weight* weight) -> std::optional<mx::array> {
    if (weight == nullptr) return std::nullopt;
    return of_mlx(*weight).vector();
  };
  const auto* q = activations_.pending<PendingColumns>(args.q);
  const auto* k = activations_.pending<PendingColumns>(args.k);
  const auto* v = activations_.pending<PendingColumns>(args.v);
  const bool one = q && k && v && q->whole.id() == k->whole.id() &&
                   q->whole.id() == v->whole.id() && q->begin == 0 && k->begin == q->cols &&
                   v->begin == q->cols + k->cols && q->whole.shape(1) == v->begin + v->cols;
  const auto contiguous = [this](Activation x) {
    return mx::contiguous(activations_.read(x), false, machine_.stream);
  };
  const RowAttention::Input input =
      one ? RowAttention::Input{q->whole}
          : RowAttention::Input{contiguous(args.q), contiguous(args.k), contiguous(args.v)};
  const auto rotated = row_attention_->rope_and_store(
      input, size_of(args.q.cols / kv.shape().head_dim),
      {norm_of(args.q_norm), norm_of(args.k_norm), args.rms_norm_eps},
      of_mlx(*args.inv_freq).vector(), kv, args.layer, rows);
  activations_.write(args.q, rotated.q);
  activations_.write(args.k, rotated.k);
}

void AttentionEngine::attention(const Attention& args) {
  const mx::Stream& s = machine_.stream;
  const auto& kv = static_cast<const MlxKv&>(*args.kv);
  const StepRows& rows = rows_of(args.sequences, kv.shape().block_tokens);
  if (row_attention_ && RowAttention::takes(rows, kv.shape()))
    return activations_.write(args.out, row_attention_->attend(activations_.read(args.q),
                                                               args.scale, kv, args.layer, rows));
  const mx::array q = activations_.read(args.q, heads_of(args.q, kv.shape().head_dim));
  std::vector<mx::array> parts;
  for (const AttentionGroup& group : rows.groups()) parts.push_back(attend(args, q, group));
  activations_.write(args.out, parts.size() == 1 ? parts.front() : mx::concatenate(parts, 0, s));
}

/// [rows of the group, heads, 1, head_dim]
mx::array AttentionEngine::attend(const Attention& args, const mx::array& q,
                                  const AttentionGroup& group) const {
  const mx::Stream& s = machine_.stream;
  const auto& kv = static_cast<const MlxKv&>(*args.kv);
  const int rows = size_of(group.row_count);
  const mx::array own =
      rows == q.shape(0)
          ? q
          : mx::slice(q, mx::Shape{size_of(group.row_begin), 0, 0, 0},
                      mx::Shape{size_of(group.row_begin) + rows, q.shape(1), 1, q.shape(3)}, s);
  const auto attention = [&](const mx::array& queries, const MlxKv::View& view,
                             const std::string& mode, const std::optional<mx::array>& mask) {
    return mx::fast::scaled_dot_product_attention(queries, view.keys, view.values, args.scale, mode,
                                                  mask, std::nullopt, false, s);
  };
  if (group.slots) return attention(own, kv.gather(args.layer, *group.slots), "", group.mask);
  if (rows > 1) {
    // Several rows' scores go through memory, where fp16 would round them.
    const mx::array queries = mx::transpose(own, {2, 1, 0, 3}, s);
    return mx::transpose(
        attention(queries, kv.view(args.layer, group.tokens, mx::float32), "causal", std::nullopt),
        {2, 1, 0, 3}, s);
  }
  const bool halves =
      kv.shape().format == KvFormat::kF16 && machine_.gpu && has_row_kernel(kv.shape().head_dim);
  const mx::Dtype dtype = halves ? mx::float16 : mx::float32;
  const mx::array out = attention(mx::astype(own, dtype, s),
                                  kv.view(args.layer, group.tokens, dtype), "", std::nullopt);
  return mx::astype(out, mx::float32, s);
}

}  // namespace bobby::mlx_backend
