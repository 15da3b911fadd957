#include "lora/weight_delta.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "lora/transposed.h"

namespace bobby {

WeightDelta WeightDelta::of_linear(const AdapterModule& module, float factor) {
  WeightDelta delta;
  delta.rows_ = module.out_features;
  delta.cols_ = module.in_features;
  delta.rank_ = module.rank;
  delta.left_ = module.b;
  delta.right_ = module.a;
  for (float& value : delta.left_) value *= module.scale * factor;
  delta.magnitude_ = module.magnitude;
  return delta;
}

WeightDelta WeightDelta::of_embedding(const AdapterModule& module, float factor) {
  WeightDelta delta;
  delta.rows_ = module.in_features;
  delta.cols_ = module.out_features;
  delta.rank_ = module.rank;
  delta.left_ = transposed(module.a, module.rank, module.in_features);
  delta.right_ = transposed(module.b, module.out_features, module.rank);
  for (float& value : delta.left_) value *= module.scale * factor;
  return delta;
}

void WeightDelta::low_rank_row(std::int64_t row, std::span<float> out) const {
  std::fill(out.begin(), out.end(), 0.0f);
  add_low_rank(row, out);
}

/// The change is summed before it is added: its own small numbers lose nothing to the base's.
void WeightDelta::add_low_rank(std::int64_t row, std::span<float> values) const {
  constexpr std::size_t kChunk = 256;
  std::array<float, kChunk> sums;
  for (std::size_t begin = 0; begin < values.size(); begin += kChunk) {
    const std::size_t count = std::min(kChunk, values.size() - begin);
    sums.fill(0.0f);
    for (std::int64_t r = 0; r < rank_; ++r) {
      const float left = left_[static_cast<std::size_t>(row * rank_ + r)];
      const float* right = right_.data() + r * cols_ + static_cast<std::int64_t>(begin);
      for (std::size_t i = 0; i < count; ++i) sums[i] += left * right[i];
    }
    for (std::size_t i = 0; i < count; ++i) values[begin + i] += sums[i];
  }
}

Result<void> WeightDelta::adapt(std::int64_t row, std::span<float> values) const {
  add_low_rank(row, values);
  if (magnitude_.empty()) return {};
  double squares = 0.0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  const auto multiplier =
      static_cast<float>(magnitude_[static_cast<std::size_t>(row)] / std::sqrt(squares));
  if (!std::isfinite(multiplier))
    return fail({.code = ErrorCode::kNumeric,
                 .problem = "row " + std::to_string(row) + " of the adapted weight has the norm " +
                            std::to_string(std::sqrt(squares)) + ", which DoRA divides by"});
  for (float& value : values) value *= multiplier;
  return {};
}

void DeltaKept::add_row(std::span<const float> base, std::span<const float> adapted,
                        std::span<const float> rounded) {
  double wanted_sum = 0.0;
  double product_sum = 0.0;
  double error_sum = 0.0;
  double base_sum = 0.0;
  for (std::size_t col = 0; col < base.size(); ++col) {
    const float wanted = adapted[col] - base[col];
    const float found = rounded[col] - base[col];
    const float error = rounded[col] - adapted[col];
    wanted_sum += static_cast<double>(wanted) * wanted;
    product_sum += static_cast<double>(wanted) * found;
    error_sum += static_cast<double>(error) * error;
    base_sum += static_cast<double>(base[col]) * base[col];
  }
  wanted_squares += wanted_sum;
  product += product_sum;
  error_squares += error_sum;
  base_squares += base_sum;
}

DeltaKept& DeltaKept::operator+=(const DeltaKept& other) {
  wanted_squares += other.wanted_squares;
  product += other.product;
  error_squares += other.error_squares;
  base_squares += other.base_squares;
  return *this;
}

double DeltaKept::kept() const {
  return wanted_squares > 0.0 ? product / wanted_squares : 1.0;
}

double DeltaKept::lost() const {
  return wanted_squares > 0.0 ? std::sqrt(error_squares / wanted_squares) : 0.0;
}

double DeltaKept::relative_size() const {
  return base_squares > 0.0 ? std::sqrt(wanted_squares / base_squares) : 0.0;
}

bool voice_lost(const DeltaKept& kept) {
  return kept.kept() < kLeastKept || kept.lost() > kMostNoise;
}

}  // namespace bobby
