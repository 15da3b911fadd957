#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "generation/request.h"
#include "generation/sampler.h"
#include "generation/stop_rules.h"
#include "model/config.h"
#include "tokenizer/tokenizer.h"

namespace bobby::detail {

/// What ends the rows of a request, worked out once.
struct RowEnds {
  std::unordered_set<std::int32_t> stop_ids;
  std::vector<std::string> stop_strings;
  std::int64_t new_tokens = 0;  ///< drawn for a row at most

  RowEnds(const GenerationRequest& request, const ModelConfig& config, const Tokenizer& tokenizer,
          std::int64_t most_tokens);
};

/// One completion in the making: its tokens, its text, and why it ended.
class Row {
 public:
  Row(std::size_t index, std::uint32_t sample, std::span<const std::int32_t> prompt,
      const Tokenizer& tokenizer, const RowEnds& ends);

  /// What a drawn token adds to the text, and whether it ends the row.
  struct Step {
    std::string text;
    std::optional<FinishReason> reason;
  };
  Step push(SampledToken token, const RowEnds& ends);
  void finish(FinishReason reason) { finished_ = reason; }
  /// When a token was drawn, in milliseconds of the request.
  void drawn_at(double ms);

  std::size_t index() const { return index_; }
  std::uint32_t sample() const { return sample_; }
  std::int64_t drawn() const { return drawn_; }
  bool finished() const { return finished_.has_value(); }
  const std::string& text() const { return text_; }
  /// The prompt, then what was drawn.
  std::span<const std::int32_t> history() const { return history_; }
  Completion completion(std::int64_t prompt_tokens) const;

  std::vector<std::int32_t> blocks;  ///< of the KV pool, those of the prompt first

 private:
  std::size_t index_;
  std::uint32_t sample_;
  std::vector<std::int32_t> history_;
  StreamDecoder decoder_;
  StopStrings stops_;
  std::string text_;
  std::int64_t drawn_ = 0;
  double logprob_sum_ = 0.0;
  double first_ms_ = 0.0;
  double latest_ms_ = 0.0;
  std::optional<FinishReason> finished_;
};

}  // namespace bobby::detail
