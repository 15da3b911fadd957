#include "lora/fused_rows.h"

#include <cmath>
#include <string>

#include "tensor/formats/dense.h"

namespace bobby {
namespace {

/// A row on its way: the base in fp32, adapted, and as it was rounded.
struct RowMemory {
  explicit RowMemory(std::int64_t cols)
      : base(static_cast<std::size_t>(cols)), adapted(base), rounded(base), change(base) {}

  std::vector<float> base;
  std::vector<float> adapted;
  std::vector<float> rounded;
  std::vector<float> change;
};

void round_to(DType dtype, std::vector<float>& values, std::vector<std::byte>& scratch) {
  scratch.resize(values.size() * dtype_bytes(dtype));
  const auto count = static_cast<std::int64_t>(values.size());
  narrow(dtype, values.data(), count, scratch.data());
  widen(dtype, scratch.data(), count, values.data());
}

/// mlx-lm's LoRALinear.fuse(): W and B A in the type of W, and so their sum.
void adapt_as_mlx(const FusedRows& fused, std::int64_t row, RowMemory& memory,
                  std::vector<std::byte>& scratch) {
  const DType dtype = fused.base.format.dtype;
  scratch.resize(memory.adapted.size() * dtype_bytes(dtype));
  dequantize_row_mlx(fused.base, row, scratch.data());
  widen(dtype, scratch.data(), fused.base.cols, memory.adapted.data());
  if (fused.delta == nullptr) return;
  fused.delta->low_rank_row(row, memory.change);
  round_to(dtype, memory.change, scratch);
  for (std::size_t col = 0; col < memory.adapted.size(); ++col)
    memory.adapted[col] += memory.change[col];
  round_to(dtype, memory.adapted, scratch);
}

/// Row `row` in fp32, as it is before its last rounding, in memory.adapted; the base beside it.
Result<void> adapted_row(const FusedRows& fused, std::int64_t row, RowMemory& memory,
                         std::vector<std::byte>& scratch) {
  dequantize_row(fused.base, row, memory.base.data());
  if (fused.rounding == FuseRounding::kMlx) {
    adapt_as_mlx(fused, row, memory, scratch);
    return {};
  }
  memory.adapted = memory.base;
  if (fused.delta == nullptr) return {};
  return fused.delta->adapt(row, memory.adapted);
}

Result<void> check_finite(const FusedRows& fused, std::int64_t row,
                          const std::vector<float>& values) {
  for (const float value : values)
    if (!std::isfinite(value))
      return fail({.code = ErrorCode::kNumeric,
                   .where = "'" + fused.base.name + "'",
                   .problem = "row " + std::to_string(row) + " holds a number that is none in " +
                              std::string(dtype_name(fused.dtype))});
  return {};
}

/// What `kept` compares with: the wanted row in fp32, whatever was rounded on the way.
Result<void> note_kept(const FusedRows& fused, std::int64_t row, RowMemory& memory,
                       DeltaKept& kept) {
  if (fused.rounding == FuseRounding::kMlx) {
    memory.adapted = memory.base;
    if (fused.delta != nullptr) BOBBY_CHECK(fused.delta->adapt(row, memory.adapted));
  }
  kept.add_row(memory.base, memory.adapted, memory.rounded);
  return {};
}

}  // namespace

Result<void> FusedRows::dense(std::int64_t begin, std::int64_t count, std::byte* out,
                              DeltaKept* kept) const {
  RowMemory memory(base.cols);
  std::vector<std::byte> scratch;
  const std::size_t row_bytes = static_cast<std::size_t>(base.cols) * dtype_bytes(dtype);
  for (std::int64_t row = begin; row < begin + count; ++row) {
    BOBBY_CHECK(adapted_row(*this, row, memory, scratch));
    std::byte* row_out = out + static_cast<std::size_t>(row - begin) * row_bytes;
    narrow(dtype, memory.adapted.data(), base.cols, row_out);
    widen(dtype, row_out, base.cols, memory.rounded.data());
    BOBBY_CHECK(check_finite(*this, row, memory.rounded));
    if (kept != nullptr) BOBBY_CHECK(note_kept(*this, row, memory, *kept));
  }
  return {};
}

Result<void> FusedRows::quantized(std::int64_t begin, std::int64_t count,
                                  const WeightFormat& format, Rounding rounding_way,
                                  const AffineRows& out, DeltaKept* kept) const {
  std::vector<std::byte> rows(static_cast<std::size_t>(count * base.cols) * dtype_bytes(dtype));
  BOBBY_CHECK(dense(begin, count, rows.data(), nullptr));
  const WeightView view{.name = base.name,
                        .format = {.kind = WeightFormat::Kind::kDense, .dtype = dtype},
                        .rows = count,
                        .cols = base.cols,
                        .weight = rows.data()};
  BOBBY_CHECK(quantize_rows(view, 0, count, format, rounding_way, out));
  if (kept == nullptr) return {};
  WeightView made = view;
  made.format = format;
  made.weight = out.weight;
  made.scales = out.scales;
  made.biases = out.biases;
  RowMemory memory(base.cols);
  for (std::int64_t row = 0; row < count; ++row) {
    dequantize_row(base, begin + row, memory.base.data());
    memory.adapted = memory.base;
    if (delta != nullptr) BOBBY_CHECK(delta->adapt(begin + row, memory.adapted));
    dequantize_row(made, row, memory.rounded.data());
    kept->add_row(memory.base, memory.adapted, memory.rounded);
  }
  return {};
}

}  // namespace bobby
