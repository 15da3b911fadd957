#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bobby {

/// Where a request's time went. Times are milliseconds since the request began.
struct GenerationTrace {
  struct Prefill {
    std::int64_t tokens = 0;  ///< of all rows of the step
    double begin_ms = 0.0;
    double duration_ms = 0.0;
  };
  struct Step {
    std::int64_t rows = 0;
    double begin_ms = 0.0;
    double forward_ms = 0.0;  ///< the model, the copy of its logits included
    double sample_ms = 0.0;   ///< all rows, callbacks included
  };
  struct Token {
    std::uint32_t sample = 0;
    std::int64_t index = 0;
    std::int32_t token = 0;
    float logprob = 0.0f;
    double at_ms = 0.0;
  };

  std::int64_t prompt_tokens = 0;
  std::int64_t shared_prompt_tokens = 0;  ///< computed once for all rows
  std::int64_t cached_prompt_tokens = 0;  ///< found in the prefix cache, and not computed
  std::uint64_t kv_saturated = 0;  ///< numbers that fp16 cells of the KV cache could not hold
  double encode_ms = 0.0;          ///< text to tokens
  double total_ms = 0.0;
  std::vector<Prefill> prefill;
  std::vector<Step> steps;
  std::vector<Token> tokens;

  /// One JSON object with these names.
  std::string to_json() const;
};

}  // namespace bobby
