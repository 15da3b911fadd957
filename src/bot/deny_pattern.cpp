#include "bot/deny_pattern.h"

#include <algorithm>
#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace bobby::bot {
namespace {

constexpr std::size_t kMostBytes = 2'000;
constexpr std::uint32_t kMostSteps = 1'000'000;
constexpr std::uint32_t kMostDepth = 1'000;
constexpr std::uint32_t kMostHeap = 4'096;  // KiB

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Code = std::unique_ptr<pcre2_code, Freed<&pcre2_code_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<&pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<&pcre2_match_data_free>>;

std::string message_of(int error) {
  PCRE2_UCHAR message[256] = {};
  pcre2_get_error_message(error, message, sizeof message);
  return reinterpret_cast<const char*>(message);
}

}  // namespace

struct DenyPattern::Compiled {
  Code code;
  MatchContext context;
};

DenyPattern::DenyPattern(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
DenyPattern::DenyPattern(DenyPattern&&) noexcept = default;
DenyPattern& DenyPattern::operator=(DenyPattern&&) noexcept = default;
DenyPattern::~DenyPattern() = default;

Result<DenyPattern> DenyPattern::parse(std::string_view pattern) {
  if (pattern.size() > kMostBytes)
    return fail({.code = ErrorCode::kUsage,
                 .problem = "is too long for a pattern",
                 .expected = fmt::format("at most {} bytes", kMostBytes),
                 .found = fmt::format("{}", pattern.size())});
  int error = 0;
  PCRE2_SIZE offset = 0;
  // A text that is no valid UTF-8 is matched up to and behind what is not.
  constexpr std::uint32_t kOptions =
      PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions,
                          &error, &offset, nullptr));
  if (!code)
    return fail({.code = ErrorCode::kUsage,
                 .problem = fmt::format("is no pattern: {} at byte {}", message_of(error), offset),
                 .found = fmt::format("\"{}\"", pattern)});
  std::uint32_t matches_nothing = 0;
  pcre2_pattern_info(code.get(), PCRE2_INFO_MATCHEMPTY, &matches_nothing);
  if (matches_nothing)
    return fail({.code = ErrorCode::kUsage,
                 .problem = "matches every text, since it may match nothing",
                 .found = fmt::format("\"{}\"", pattern)});
  MatchContext context(pcre2_match_context_create(nullptr));
  if (!context) return fail({.code = ErrorCode::kLimit, .problem = "there is no memory left"});
  pcre2_set_match_limit(context.get(), kMostSteps);
  pcre2_set_depth_limit(context.get(), kMostDepth);
  pcre2_set_heap_limit(context.get(), kMostHeap);
  return DenyPattern(
      std::make_unique<Compiled>(Compiled{.code = std::move(code), .context = std::move(context)}));
}

Result<std::optional<Place>> DenyPattern::find(std::string_view text) const {
  const MatchData data(pcre2_match_data_create(1, nullptr));
  if (!data) return fail({.code = ErrorCode::kLimit, .problem = "there is no memory left"});
  const int found = pcre2_match(compiled_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                text.size(), 0, PCRE2_NO_JIT, data.get(), compiled_->context.get());
  if (found == PCRE2_ERROR_NOMATCH) return std::optional<Place>{};
  if (found < 0)
    return fail({.code = ErrorCode::kLimit,
                 .problem = fmt::format("cannot be decided: {}", message_of(found))});
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
  return std::optional<Place>(Place{.begin = ends[0], .end = std::max(ends[0], ends[1])});
}

}  // namespace bobby::bot
