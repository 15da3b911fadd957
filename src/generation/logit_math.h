#pragma once

#include <span>

namespace bobby::detail {

/// The largest of at least one number; numbers, not NaN.
float largest(std::span<const float> values);

/// sum(exp(value - top)) of values at most `top`, each to within 2e-7 of itself. The same bits on
/// every processor.
double sum_exp(std::span<const float> values, float top);

/// Whether no value is NaN or infinite.
bool all_finite(std::span<const float> values);

}  // namespace bobby::detail
