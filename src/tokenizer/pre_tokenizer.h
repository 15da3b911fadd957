#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/piece_sink.h"
#include "tokenizer/split_pattern.h"

namespace bobby::detail {

/// One step of a pre-tokenizer: cuts a piece into smaller ones. Immutable and thread-safe.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  /// `text` is valid UTF-8 and not empty, and so are the pieces.
  virtual void split(std::string_view text, PieceSink& out) const = 0;
};

/// What becomes of the matches of a Split, and of the text between them.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// `invert`: the pattern describes the text to keep rather than the delimiters.
std::unique_ptr<PreTokenizerStep> make_split_step(std::unique_ptr<SplitPattern> pattern,
                                                  SplitBehavior behavior, bool invert);
/// Numbers alone (`individual`: each character alone).
std::unique_ptr<PreTokenizerStep> make_digits_step(bool individual);
/// Puts a space before a piece that does not begin with one.
std::unique_ptr<PreTokenizerStep> make_prefix_space_step();

/// Steps one after another: each cuts the pieces of the one before.
class PreTokenizer {
 public:
  void add(std::unique_ptr<PreTokenizerStep> step) { steps_.push_back(std::move(step)); }
  void split(std::string_view text, PieceSink& out) const;

 private:
  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
};

}  // namespace bobby::detail
