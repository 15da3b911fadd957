#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bot/deny_word.h"

namespace bobby::bot {

/// A regular expression (PCRE2, letters of either case) that a text must not match. It sees the
/// text as it stands.
class DenyPattern {
 public:
  /// kUsage: what is wrong with it, and where.
  static Result<DenyPattern> parse(std::string_view pattern);

  /// Its first match. kLimit where that would take too long to find out.
  Result<std::optional<Place>> find(std::string_view text) const;

  DenyPattern(DenyPattern&&) noexcept;
  DenyPattern& operator=(DenyPattern&&) noexcept;
  ~DenyPattern();

 private:
  struct Compiled;
  explicit DenyPattern(std::unique_ptr<Compiled> compiled);

  std::unique_ptr<Compiled> compiled_;
};

}  // namespace bobby::bot
