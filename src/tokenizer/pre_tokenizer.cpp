#include "tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <string>

#include "tokenizer/char_class.h"
#include "tokenizer/utf8.h"

namespace bobby::detail {
namespace {

/// A part of the text, and whether the pattern matched it.
struct Part {
  std::size_t begin;
  std::size_t end;
  bool is_match;
};

/// Matches joined to the text around them, as `behavior` says. Parts cover the text in order.
std::vector<Part> join(std::vector<Part> parts, SplitBehavior behavior) {
  if (behavior == SplitBehavior::kMergedWithNext) std::reverse(parts.begin(), parts.end());
  std::vector<Part> joined;
  bool previous_is_match = false;
  for (const Part& part : parts) {
    const bool is_joined = behavior == SplitBehavior::kContiguous
                               ? part.is_match == previous_is_match
                               : part.is_match && !previous_is_match;
    previous_is_match = part.is_match;
    if (!is_joined || joined.empty()) {
      joined.push_back(part);
    } else {
      joined.back().begin = std::min(joined.back().begin, part.begin);
      joined.back().end = std::max(joined.back().end, part.end);
    }
  }
  if (behavior == SplitBehavior::kMergedWithNext) std::reverse(joined.begin(), joined.end());
  return joined;
}

class SplitStep final : public PreTokenizerStep {
 public:
  SplitStep(std::unique_ptr<SplitPattern> pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void split(std::string_view text, PieceSink& out) const override {
    if (behavior_ == SplitBehavior::kIsolated || behavior_ == SplitBehavior::kRemoved) {
      for_each_part(text, [&](const Part& part) {
        if (behavior_ == SplitBehavior::kIsolated || !part.is_match)
          out.piece(text.substr(part.begin, part.end - part.begin));
      });
      return;
    }
    std::vector<Part> parts;
    for_each_part(text, [&](const Part& part) { parts.push_back(part); });
    for (const Part& part : join(std::move(parts), behavior_))
      out.piece(text.substr(part.begin, part.end - part.begin));
  }

 private:
  template <typename Visit>
  void for_each_part(std::string_view text, Visit visit) const {
    std::size_t at = 0;
    while (at < text.size()) {
      const SplitPattern::Match match = pattern_->find(text, at);
      const std::size_t begin = std::min(match.begin, text.size());
      if (begin > at) visit(Part{at, begin, invert_});
      if (begin == text.size()) return;
      visit(Part{begin, match.end, !invert_});
      at = match.end;
    }
  }

  std::unique_ptr<SplitPattern> pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class DigitsStep final : public PreTokenizerStep {
 public:
  explicit DigitsStep(bool individual) : individual_(individual) {}

  void split(std::string_view text, PieceSink& out) const override {
    const CharClasses& classes = CharClasses::get();
    std::size_t begin = 0;
    bool previous_is_digit = false;
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint c = decode_utf8(text.data() + at);
      const bool is_digit = classes.of(c.value) & kDigitStep;
      if (at > begin && (is_digit != previous_is_digit || (is_digit && individual_))) {
        out.piece(text.substr(begin, at - begin));
        begin = at;
      }
      previous_is_digit = is_digit;
      at += c.length;
    }
    if (begin < text.size()) out.piece(text.substr(begin));
  }

 private:
  bool individual_;
};

class PrefixSpaceStep final : public PreTokenizerStep {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    if (text.starts_with(' ')) {
      out.piece(text);
    } else {
      std::string spaced = " ";
      spaced.append(text);
      out.piece(spaced);
    }
  }
};

/// Hands each piece to a step, and that step's pieces onwards.
class StepSink final : public PieceSink {
 public:
  StepSink(const PreTokenizerStep& step, PieceSink& next) : step_(step), next_(next) {}
  void piece(std::string_view text) override { step_.split(text, next_); }

 private:
  const PreTokenizerStep& step_;
  PieceSink& next_;
};

}  // namespace

std::unique_ptr<PreTokenizerStep> make_split_step(std::unique_ptr<SplitPattern> pattern,
                                                  SplitBehavior behavior, bool invert) {
  return std::make_unique<SplitStep>(std::move(pattern), behavior, invert);
}
std::unique_ptr<PreTokenizerStep> make_digits_step(bool individual) {
  return std::make_unique<DigitsStep>(individual);
}
std::unique_ptr<PreTokenizerStep> make_prefix_space_step() {
  return std::make_unique<PrefixSpaceStep>();
}

void PreTokenizer::split(std::string_view text, PieceSink& out) const {
  if (text.empty()) return;
  if (steps_.empty()) {
    out.piece(text);
    return;
  }
  std::vector<StepSink> sinks;
  sinks.reserve(steps_.size());  // the sinks refer to each other: no reallocation
  PieceSink* next = &out;
  for (std::size_t i = steps_.size(); i-- > 1;) next = &sinks.emplace_back(*steps_[i], *next);
  steps_[0]->split(text, *next);
}

}  // namespace bobby::detail
