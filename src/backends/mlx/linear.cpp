#include "backends/mlx/linear.h"

#include <algorithm>
#include <utility>

namespace bobby::mlx_backend {
namespace {

mx::array transposed(const mx::array& matrix, const Machine& machine) {
  return mx::transpose(matrix, machine.stream);
}

bool has_dora(std::span<const Projection> projections) {
  return std::ranges::any_of(projections, [](const Projection& projection) {
    return std::ranges::any_of(projection.lora, [](const LoraRows& rows) {
      return rows.lora->view().output_multiplier != nullptr;
    });
  });
}

mx::array slice_rows(const mx::array& values, std::int64_t begin, std::int64_t count,
                     const Machine& machine) {
  return mx::slice(values, mx::Shape{size_of(begin), 0},
                   mx::Shape{size_of(begin + count), values.shape(1)}, machine.stream);
}

}  // namespace

LinearEngine::LinearEngine(const Machine& machine, ActivationTable& activations)
    : machine_(machine),
      activations_(activations),
      adapters_(std::make_shared<StackedAdapters>(machine)),
      joined_(std::make_shared<JoinedWeights>(machine)) {
  if (machine.cuda) row_product_.emplace(machine);
}

mx::array LinearEngine::product(const mx::array& x, const Matrix& matrix,
                                const WeightFormat& format) const {
  const mx::Stream& s = machine_.stream;
  if (!matrix.scales) return mx::matmul(x, transposed(matrix.weight, machine_), s);
  if (is_few(x.shape(0), format)) return (*row_product_)({x}, matrix);
  // For several rows MLX compiles a kernel for CUDA at first use, for a minute, and of 8 bits in
  // groups of 128 it is wrong (0.32.4). Widening the weight and multiplying is ready at once.
  if (machine_.cuda && x.shape(0) > 1) {
    const mx::array wide =
        mx::dequantize(matrix.weight, *matrix.scales, matrix.biases, format.group_size, format.bits,
                       "affine", std::nullopt, std::nullopt, s);
    return mx::matmul(x, transposed(wide, machine_), s);
  }
  return mx::quantized_matmul(x, matrix.weight, *matrix.scales, matrix.biases, true,
                              format.group_size, format.bits, "affine", s);
}

bool LinearEngine::is_few(std::int64_t rows, const WeightFormat& format) const {
  return row_product_ && format.kind == WeightFormat::Kind::kAffine && format.bits == 4 &&
         rows <= RowProduct::kMostRows;
}

bool LinearEngine::are_few(Activation x, std::span<const Projection> projections) const {
  return !has_dora(projections) &&
         std::ranges::all_of(projections, [&](const Projection& projection) {
           return is_few(x.rows, projection.weight->view().format);
         });
}

void LinearEngine::few_rows(Activation x, std::span<const Projection> projections) {
  const auto* pending = activations_.pending<PendingInput>(x);
  const RowInput input = pending ? pending->input : RowInput{activations_.read(x)};
  std::optional<RowAddend> addend;
  const auto low_rank = adapters_->make(projections, x.rows);
  if (low_rank)
    addend = RowAddend{.z = row_product_->low_rank(input, low_rank->a.rows, low_rank->factor),
                       .b = low_rank->b.rows,
                       .scale = low_rank->scale_there};
  if (const Matrix* whole = joined_->join(projections)) {
    const mx::array y = (*row_product_)(input, *whole, addend);
    int begin = 0;
    for (const Projection& projection : projections) {
      const int cols = size_of(projection.out.cols);
      write(projection, PendingColumns{.whole = y, .begin = begin, .cols = cols});
      begin += cols;
    }
    return;
  }
  for (std::size_t i = 0; i < projections.size(); ++i) {
    const Projection& projection = projections[i];
    std::optional<RowAddend> own;
    if (low_rank && !projection.lora.empty())
      own = RowAddend{addend->z, low_rank->b_of_each[i].rows, addend->scale};
    write(projection, PendingProduct{[this, input, matrix = of_mlx(*projection.weight).matrix(),
                                      own](const std::optional<mx::array>& residual) {
            return (*row_product_)(input, matrix, own, residual);
          }});
  }
}

void LinearEngine::linear(Activation x, std::span<const Projection> projections) {
  if (are_few(x, projections)) return few_rows(x, projections);
  const mx::array input = activations_.read(x);
  const Matrix* whole = has_dora(projections) ? nullptr : joined_->join(projections);
  return whole != nullptr ? together(input, projections, *whole) : apart(input, projections);
}

void LinearEngine::together(const mx::array& x, std::span<const Projection> projections,
                            const Matrix& whole) {
  const mx::Stream& s = machine_.stream;
  mx::array y = product(x, whole, projections.front().weight->view().format);
  if (const auto low_rank = adapters_->make(projections, x.shape(0)))
    y = mx::addmm(y, low_rank_input(x, *low_rank), low_rank->b.transposed, low_rank->scale, 1.0f,
                  s);
  int begin = 0;
  for (const Projection& projection : projections) {
    const int cols = size_of(projection.out.cols);
    write(projection, mx::slice(y, mx::Shape{0, begin}, mx::Shape{y.shape(0), begin + cols}, s));
    begin += cols;
  }
}

void LinearEngine::apart(const mx::array& x, std::span<const Projection> projections) {
  const bool dora = has_dora(projections);
  const auto low_rank = dora ? std::nullopt : adapters_->make(projections, x.shape(0));
  std::optional<mx::array> z;
  if (low_rank) z = low_rank_input(x, *low_rank);
  std::size_t index = 0;
  for (const Projection& projection : projections) {
    mx::array y = product(x, of_mlx(*projection.weight).matrix(), projection.weight->view().format);
    if (dora) y = with_deltas(x, y, projection);
    if (low_rank && !projection.lora.empty())
      y = mx::addmm(y, *z, low_rank->b_of_each[index].transposed, low_rank->scale, 1.0f,
                    machine_.stream);
    ++index;
    write(projection, std::move(y));
  }
}

void LinearEngine::write(const Projection& projection, Pending y) {
  if (projection.bias) return write(projection, compute(y, machine_));
  activations_.write(projection.out, std::move(y));
}

void LinearEngine::write(const Projection& projection, mx::array y) {
  if (projection.bias) y = mx::add(y, of_mlx(*projection.bias).vector(), machine_.stream);
  activations_.write(projection.out, std::move(y));
}

mx::array LinearEngine::low_rank_input(const mx::array& x, const LowRank& low_rank) const {
  const mx::Stream& s = machine_.stream;
  const mx::array z = mx::matmul(x, low_rank.a.transposed, s);
  if (!low_rank.factor) return z;
  // Not 0 times what another voice makes of its row, which may be infinite.
  const mx::array own = mx::not_equal(*low_rank.factor, zero_, s);
  return mx::where(own, mx::multiply(z, *low_rank.factor, s), zero_, s);
}

/// Each entry of a projection's adapters by itself: DoRA's changes what the base gives as well.
mx::array LinearEngine::with_deltas(const mx::array& x, const mx::array& y,
                                    const Projection& projection) const {
  const mx::Stream& s = machine_.stream;
  mx::array out = y;
  for (const LoraRows& rows : projection.lora) {
    const auto& lora = static_cast<const MlxLora&>(*rows.lora);
    const mx::array input = slice_rows(x, rows.row_begin, rows.row_count, machine_);
    const mx::array z = mx::matmul(input, transposed(lora.a(), machine_), s);
    mx::array delta =
        mx::multiply(mx::matmul(z, transposed(lora.b(), machine_), s), mx::array(rows.scale), s);
    if (lora.multiplier()) {
      const mx::array base = slice_rows(y, rows.row_begin, rows.row_count, machine_);
      const mx::array less_one = mx::subtract(*lora.multiplier(), mx::array(1.0f), s);
      delta =
          mx::add(mx::multiply(less_one, base, s), mx::multiply(*lora.multiplier(), delta, s), s);
    }
    const mx::array sum =
        mx::add(slice_rows(out, rows.row_begin, rows.row_count, machine_), delta, s);
    out =
        rows.row_count == y.shape(0)
            ? sum
            : mx::slice_update(out, sum, mx::Shape{size_of(rows.row_begin), 0},
                               mx::Shape{size_of(rows.row_begin + rows.row_count), y.shape(1)}, s);
  }
  return out;
}

void LinearEngine::embed(const Weight& table, std::span<const std::int32_t> tokens,
                         std::span<const LoraRows> lora, Activation out) {
  const mx::Stream& s = machine_.stream;
  const Matrix& matrix = of_mlx(table).matrix();
  const WeightFormat& format = table.view().format;
  const bool one = tokens.size() == 1 && lora.empty();
  const mx::array numbers =
      one ? zero_ : mx::array(tokens.data(), {static_cast<int>(tokens.size())}, mx::int32);
  const auto rows = [&](const mx::array& values) {
    if (one) return slice_rows(values, tokens.front(), 1, machine_);
    return mx::take(values, numbers, 0, s);
  };
  mx::array x = rows(matrix.weight);
  if (matrix.scales)
    x = mx::dequantize(x, rows(*matrix.scales), rows(*matrix.biases), format.group_size,
                       format.bits, "affine", std::nullopt, std::nullopt, s);
  for (const LoraRows& entry : lora) {
    const auto& pair = static_cast<const MlxLora&>(*entry.lora);
    const mx::array own = mx::slice(numbers, mx::Shape{size_of(entry.row_begin)},
                                    mx::Shape{size_of(entry.row_begin + entry.row_count)}, s);
    const mx::array z = mx::transpose(mx::take(pair.a(), own, 1, s), s);  // [row_count, rank]
    const mx::array delta =
        mx::multiply(mx::matmul(z, transposed(pair.b(), machine_), s), mx::array(entry.scale), s);
    const mx::array sum =
        mx::add(slice_rows(x, entry.row_begin, entry.row_count, machine_), delta, s);
    x = mx::slice_update(x, sum, mx::Shape{size_of(entry.row_begin), 0},
                         mx::Shape{size_of(entry.row_begin + entry.row_count), x.shape(1)}, s);
  }
  activations_.write(out, std::move(x));
}

}  // namespace bobby::mlx_backend
