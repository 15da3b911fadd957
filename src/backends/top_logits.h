#pragma once

#include <cstdint>
#include <span>

namespace bobby {

/// What drawing a token needs of one row of logits, made where the logits are: a vocabulary of
/// 151,936 of them a row and step would take longer to copy than to compute.
struct TopLogits {
  bool finite = false;   ///< no logit is NaN or infinite; otherwise nothing below holds
  float largest = 0.0f;  ///< of all logits
  double sum_exp = 0.0;  ///< sum over the row of exp(logit - largest)
  /// Tokens with a logit of at least `floor`, all of them, in no order, and their logits; none when
  /// they were too many.
  float floor = 0.0f;
  std::span<const std::int32_t> tokens;
  std::span<const float> logits;
};

}  // namespace bobby
