#include "store/folded.h"

#include <cstdlib>
#include <memory>
#include <utf8proc.h>

namespace bobby::store {

Result<std::string> folded(std::string_view text, std::string_view name) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(
      UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
  utf8proc_uint8_t* bytes = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &bytes, kOptions);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(bytes, &std::free);
  if (length == UTF8PROC_ERROR_INVALIDUTF8)
    return fail(
        {.code = ErrorCode::kUsage, .where = std::string(name), .problem = "is not valid UTF-8"});
  if (length < 0)
    return fail({.code = ErrorCode::kLimit,
                 .where = std::string(name),
                 .problem = utf8proc_errmsg(length)});
  return std::string(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

bool holds_words(std::string_view text, std::string_view words) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  for (std::size_t begin = words.find_first_not_of(kSpace); begin != std::string_view::npos;) {
    const std::size_t end = words.find_first_of(kSpace, begin);
    if (text.find(words.substr(begin, end - begin)) == std::string_view::npos) return false;
    begin = words.find_first_not_of(kSpace, end);
  }
  return true;
}

}  // namespace bobby::store
