// The general path: any pattern whose constructs mean the same in PCRE2.

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tokenizer/split_pattern.h"

namespace bobby::detail {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

class RegexPattern final : public SplitPattern {
 public:
  explicit RegexPattern(std::unique_ptr<pcre2_code, FreeCode> code) : code_(std::move(code)) {}

  Match find(std::string_view text, std::size_t from) const override {
    const std::unique_ptr<pcre2_match_data, FreeMatchData> data(
        pcre2_match_data_create(1, nullptr));
    if (!data) return {kNone, kNone};
    const auto match = [&](std::uint32_t options) {
      return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                         options | PCRE2_NO_UTF_CHECK, data.get(), nullptr);
    };
    int found = match(0);
    // The interpreter keeps its state on the heap, where long pieces fit.
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);
    if (found < 0) return {kNone, kNone};
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    if (ends[1] <= ends[0]) return {kNone, kNone};
    return {ends[0], ends[1]};
  }

 private:
  std::unique_ptr<pcre2_code, FreeCode> code_;
};

class LiteralPattern final : public SplitPattern {
 public:
  explicit LiteralPattern(std::string literal) : literal_(std::move(literal)) {}
  Match find(std::string_view text, std::size_t from) const override {
    const std::size_t at = text.find(literal_, from);
    return at == kNone ? Match{kNone, kNone} : Match{at, at + literal_.size()};
  }

 private:
  std::string literal_;
};

}  // namespace

Result<std::unique_ptr<SplitPattern>> make_regex_pattern(std::string_view regex,
                                                         const std::string& where) {
  BOBBY_TRY(const std::string pattern, to_pcre2_syntax(regex, where));
  int error = 0;
  PCRE2_SIZE offset = 0;
  std::unique_ptr<pcre2_code, FreeCode> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE, &error, &offset, nullptr));
  if (!code) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof message);
    return fail({.code = ErrorCode::kUnsupported,
                 .where = where,
                 .problem = fmt::format("this regex cannot be compiled: {}",
                                        reinterpret_cast<const char*>(message)),
                 .found = std::string(regex)});
  }
  std::uint32_t matches_nothing = 0;
  pcre2_pattern_info(code.get(), PCRE2_INFO_MATCHEMPTY, &matches_nothing);
  if (matches_nothing)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = where,
                 .problem = "a regex that matches the empty text is not supported",
                 .found = std::string(regex)});
  // Without JIT (some kernels forbid it) the interpreter gives the same answers, slower.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return std::make_unique<RegexPattern>(std::move(code));
}

std::unique_ptr<SplitPattern> make_literal_pattern(std::string literal) {
  return std::make_unique<LiteralPattern>(std::move(literal));
}

}  // namespace bobby::detail
