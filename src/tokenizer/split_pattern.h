#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby::detail {

/// A pattern that finds where text is split. Immutable and thread-safe.
class SplitPattern {
 public:
  struct Match {
    std::size_t begin;
    std::size_t end;  ///< > begin; or begin == end == npos: no match
  };

  virtual ~SplitPattern() = default;
  /// The leftmost match that begins at or after `from`. `text` is valid UTF-8.
  virtual Match find(std::string_view text, std::size_t from) const = 0;
};

/// The exact patterns of the model families that have a matcher written by hand.
namespace known_patterns {
extern const std::string_view kGpt2;
extern const std::string_view kQwen2;  ///< Qwen2, Qwen2.5 and Qwen3
extern const std::string_view kLlama3;
}  // namespace known_patterns

/// The matcher written by hand for `regex`, or null if it is none of the known ones.
std::unique_ptr<SplitPattern> make_known_pattern(std::string_view regex);

/// Any other regex, in the Oniguruma syntax that tokenizer.json uses, through PCRE2. Classes beyond
/// \p{L}, \p{N}, \p{M} and \s are of PCRE2's Unicode version. kUnsupported names a construct whose
/// meaning is not certain to be the same; `where` names the key.
Result<std::unique_ptr<SplitPattern>> make_regex_pattern(std::string_view regex,
                                                         const std::string& where);

/// `literal` itself. Precondition: not empty.
std::unique_ptr<SplitPattern> make_literal_pattern(std::string literal);

/// `regex` in PCRE2's syntax with the same meaning; kUnsupported otherwise.
Result<std::string> to_pcre2_syntax(std::string_view regex, const std::string& where);

}  // namespace bobby::detail
