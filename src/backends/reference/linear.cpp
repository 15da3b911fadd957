#include <cassert>
#include <cmath>
#include <cstddef>
#include <vector>

#include "backends/reference/ops.h"
#include "tensor/formats/affine.h"

namespace bobby::reference {
namespace {

double dot(const float* a, const float* b, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

std::vector<float> row_of(const Weight& weight, std::int64_t row) {
  std::vector<float> values(static_cast<std::size_t>(weight.cols()));
  dequantize_row(weight.view(), row, values.data());
  return values;
}

/// A low-rank pair at work on some rows of a step.
struct LoraPass {
  LoraRows rows;
  std::vector<double> ax;  // [row_count, rank]

  bool holds(std::int64_t row) const {
    return row >= rows.row_begin && row < rows.row_begin + rows.row_count;
  }

  /// What output `o` of `row` gains, where the base alone gives y.
  double delta(std::int64_t row, std::int64_t o, double y) const {
    const LoraView& view = rows.lora->view();
    const double* ax_row = ax.data() + (row - rows.row_begin) * view.rank;
    const float* b = view.b + o * view.rank;
    double sum = 0;
    for (std::int64_t r = 0; r < view.rank; ++r) sum += b[r] * ax_row[r];
    sum *= rows.scale;
    if (!view.output_multiplier) return sum;
    const double multiplier = view.output_multiplier[o];
    return (multiplier - 1.0) * y + multiplier * sum;
  }
};

std::vector<LoraPass> multiply_a(Activation x, std::span<const LoraRows> lora) {
  std::vector<LoraPass> passes;
  for (const LoraRows& rows : lora) {
    const LoraView& view = rows.lora->view();
    assert(view.in_features == x.cols);
    assert(rows.row_begin >= 0 && rows.row_begin + rows.row_count <= x.rows);
    LoraPass pass{rows, {}};
    for (std::int64_t row = rows.row_begin; row < rows.row_begin + rows.row_count; ++row)
      for (std::int64_t r = 0; r < view.rank; ++r)
        pass.ax.push_back(dot(view.a + r * x.cols, x.data + row * x.cols, x.cols));
    passes.push_back(std::move(pass));
  }
  return passes;
}

void project(Activation x, const Projection& projection) {
  const Weight& weight = *projection.weight;
  const Activation out = projection.out;
  assert(weight.cols() == x.cols && weight.rows() == out.cols && x.rows == out.rows);
  assert(!projection.bias || projection.bias->cols() == out.cols);
  const std::vector<float> bias =
      projection.bias ? row_of(*projection.bias, 0) : std::vector<float>();
  const std::vector<LoraPass> passes = multiply_a(x, projection.lora);
  for (std::int64_t o = 0; o < out.cols; ++o) {
    const std::vector<float> w = row_of(weight, o);
    for (std::int64_t row = 0; row < x.rows; ++row) {
      const double y = dot(w.data(), x.data + row * x.cols, x.cols);
      double sum = bias.empty() ? y : y + bias[static_cast<std::size_t>(o)];
      for (const LoraPass& pass : passes)
        if (pass.holds(row)) sum += pass.delta(row, o, y);
      out.data[row * out.cols + o] = static_cast<float>(sum);
    }
  }
}

}  // namespace

void linear(Activation x, std::span<const Projection> projections) {
  for (const Projection& projection : projections) project(x, projection);
}

void embed(const Weight& table, std::span<const std::int32_t> tokens,
           std::span<const LoraRows> lora, Activation out) {
  assert(out.rows == static_cast<std::int64_t>(tokens.size()) && out.cols == table.cols());
  for (std::int64_t row = 0; row < out.rows; ++row) {
    const std::int32_t token = tokens[static_cast<std::size_t>(row)];
    assert(token >= 0 && token < table.rows());
    const std::vector<float> base = row_of(table, token);
    std::vector<double> sums(base.begin(), base.end());
    for (const LoraRows& rows : lora) {
      if (row < rows.row_begin || row >= rows.row_begin + rows.row_count) continue;
      const LoraView& view = rows.lora->view();
      assert(view.in_features == table.rows() && view.out_features == out.cols);
      assert(!view.output_multiplier);
      for (std::int64_t o = 0; o < out.cols; ++o) {
        double delta = 0;
        for (std::int64_t r = 0; r < view.rank; ++r)
          delta +=
              static_cast<double>(view.b[o * view.rank + r]) * view.a[r * view.in_features + token];
        sums[static_cast<std::size_t>(o)] += rows.scale * delta;
      }
    }
    for (std::int64_t o = 0; o < out.cols; ++o)
      out.data[row * out.cols + o] = static_cast<float>(sums[static_cast<std::size_t>(o)]);
  }
}

void rms_norm(Activation x, const Weight& weight, float eps, Activation out) {
  assert(x.rows == out.rows && x.cols == out.cols && weight.cols() == x.cols);
  const std::vector<float> w = row_of(weight, 0);
  for (std::int64_t row = 0; row < x.rows; ++row) {
    const float* in = x.data + row * x.cols;
    const double mean = dot(in, in, x.cols) / static_cast<double>(x.cols);
    const auto factor = static_cast<float>(1.0 / std::sqrt(mean + eps));
    for (std::int64_t i = 0; i < x.cols; ++i)
      out.data[row * x.cols + i] = in[i] * factor * w[static_cast<std::size_t>(i)];
  }
}

}  // namespace bobby::reference
