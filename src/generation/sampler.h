#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "base/result.h"

namespace bobby {

/// How a token is drawn from logits: mlx-lm's settings, meaning and order (docs/adr/0005).
///  1. logit_bias, repetition, presence and frequency penalties, on the logits
///  2. log-probabilities = logits - logsumexp(logits): the distribution at temperature 1
///  3. top_p, min_p, XTC, top_k, each on what the one before left, nothing renormalised in between
///  4. a draw from what is left, with log-probabilities divided by the temperature
struct Sampling {
  float temperature = 0.7f;  ///< 0: greedy, and the filters are not used
  float top_p = 0.9f;        ///< drop tokens with at least this mass above them; 0 or 1: off
  float min_p = 0.0f;        ///< drop tokens below this share of the likeliest one's probability
  std::int64_t top_k = 0;    ///< keep this many; 0: off

  float xtc_probability = 0.0f;  ///< how often XTC drops all but the least likely of the likely
  float xtc_threshold = 0.1f;    ///< what XTC calls likely, at most 0.5
  std::vector<std::int32_t> xtc_special_tokens;  ///< never dropped by XTC

  std::vector<std::pair<std::int32_t, float>> logit_bias;  ///< added; -infinity bans a token
  float repetition_penalty = 1.0f;    ///< divides positive logits, multiplies negative; 1: off
  float presence_penalty = 0.0f;      ///< subtracted once from each token seen
  float frequency_penalty = 0.0f;     ///< subtracted for each time a token was seen
  std::int64_t penalty_context = 20;  ///< how many tokens back, prompt included, the three look

  /// Whether a backend's TopLogits can never do: step 1 changes logits, or nothing is filtered.
  bool wants_all_logits() const;
  /// kUsage: every setting that is out of its range, named as its flag is.
  Result<void> validate(std::int64_t vocab_size) const;
};

/// Where a token stands: what its random numbers are drawn from, and nothing else.
struct RandomPoint {
  std::uint64_t seed = 0;
  std::uint32_t sample = 0;    ///< number of the sample within its request
  std::uint32_t position = 0;  ///< generated tokens before this one
};

/// A token and its log-probability at temperature 1 with penalties, before any filter.
struct SampledToken {
  std::int32_t token = 0;
  float logprob = 0.0f;
  bool operator==(const SampledToken&) const = default;
};

/// kNumeric when a logit is NaN or infinite, naming token and position.
Result<void> check_logits(std::span<const float> logits, std::int64_t position);

/// Step 1, in place. `context`: every token so far, prompt first; the last penalty_context count.
void apply_penalties(std::span<float> logits, std::span<const std::int32_t> context,
                     const Sampling& sampling);

/// The `count` likeliest tokens, likeliest first, equals by id; fewer where there are no more.
std::vector<SampledToken> likeliest(std::span<const float> logits, std::size_t count);

/// The likeliest token; the lowest id among equals.
SampledToken argmax(std::span<const float> logits);

/// Steps 2 and 3: what is left, likeliest first, equals by id. `xtc_draw` is uniform in [0, 1).
std::vector<SampledToken> filter(std::span<const float> logits, const Sampling& sampling,
                                 double xtc_draw);

/// Steps 2 to 4 on finite logits of which at least one token is not banned. `sampling` is valid.
SampledToken sample(std::span<const float> logits, const Sampling& sampling, RandomPoint point);

/// The same from what a backend tells of the logits, where that is enough: it is not when a filter
/// reaches below `top.floor`. `sampling` does not want all logits, `top` is finite.
std::optional<SampledToken> sample(const TopLogits& top, const Sampling& sampling,
                                   RandomPoint point);

}  // namespace bobby
