#include "data/js_array.h"

#include <fmt/format.h>
#include <simdjson.h>

namespace bobby::data {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 18;
constexpr std::size_t kMostObjectBytes = std::size_t{4} << 20;
constexpr int kMostDepth = 64;
constexpr std::size_t kMostNameBytes = 200;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '$';
}

std::string shown(char c) {
  return c >= ' ' && c <= '~' ? fmt::format("\"{}\"", c)
                              : fmt::format("byte {:#04x}", static_cast<unsigned char>(c));
}

}  // namespace

std::string JsArrayReader::place() const {
  return fmt::format("entry {} (byte {})", count_, object_begin_);
}

tl::unexpected<Error> JsArrayReader::malformed(std::string problem, std::string found) const {
  return fail({.code = ErrorCode::kMalformed,
               .where = count_ == 0 ? "" : place(),
               .problem = std::move(problem),
               .found = std::move(found)});
}

Result<bool> JsArrayReader::fill() {
  block_begin_ += block_.size();
  block_.resize(kBlockBytes);
  BOBBY_TRY(const std::size_t count, stream_.read(block_));
  block_.resize(count);
  at_ = 0;
  if (!started_) {
    started_ = true;
    BOBBY_TRY(at_, check_text_beginning(block_));
  }
  return count > 0;
}

Result<std::optional<char>> JsArrayReader::next_character() {
  for (;;) {
    while (at_ < block_.size()) {
      const char c = block_[at_++];
      if (!is_space(c)) return c;
    }
    BOBBY_TRY(const bool more, fill());
    if (!more) return std::nullopt;
  }
}

Result<std::string> JsArrayReader::begin() {
  std::string name;
  for (;;) {
    BOBBY_TRY(const std::optional<char> c, next_character());
    if (!c)
      return malformed(
          "holds no array; expected `window.YTD... = [` as Twitter's archives begin their files");
    if (*c == '[' && name.empty()) return name;
    if (*c == '=') break;
    if (!is_name(*c) || name.size() >= kMostNameBytes)
      return malformed("does not begin as a file of a Twitter archive",
                       fmt::format("{} after \"{}\"", shown(*c), name));
    name += *c;
  }
  BOBBY_TRY(const std::optional<char> c, next_character());
  if (c != '[')
    return malformed(fmt::format("assigns no array to {}", name), c ? shown(*c) : "the end");
  if (name.starts_with("window.")) name.erase(0, 7);
  return name;
}

Result<std::optional<std::string_view>> JsArrayReader::next() {
  if (ended_) return std::nullopt;
  BOBBY_TRY(std::optional<char> c, next_character());
  if (c == ',' && count_ > 0) {
    BOBBY_TRY(c, next_character());
  } else if (c == '{' && count_ > 0) {
    return malformed("has no comma behind it", "\"{\"");
  }
  if (!c)
    return malformed("the file ends in the middle of its array; the download may be cut short");
  if (*c == ']') {
    ended_ = true;
    BOBBY_CHECK(check_end());
    return std::nullopt;
  }
  object_begin_ = block_begin_ + at_ - 1;
  ++count_;
  if (*c != '{') return malformed("is not an object", shown(*c));
  BOBBY_CHECK(take_object());
  return object_;
}

// From behind the first brace to the one that closes it. Braces in strings do not count.
Result<void> JsArrayReader::take_object() {
  object_.assign(1, '{');
  int depth = 1;
  bool in_string = false;
  bool escaped = false;
  while (depth > 0) {
    if (at_ == block_.size()) {
      BOBBY_TRY(const bool more, fill());
      if (!more) return malformed("the file ends within it; the download may be cut short");
    }
    const std::size_t begin = at_;
    while (at_ < block_.size() && depth > 0) {
      const char c = block_[at_++];
      if (in_string) {
        if (escaped)
          escaped = false;
        else if (c == '\\')
          escaped = true;
        else if (c == '"')
          in_string = false;
      } else if (c == '"') {
        in_string = true;
      } else if (c == '{' || c == '[') {
        if (++depth > kMostDepth)
          return fail({.code = ErrorCode::kLimit,
                       .where = place(),
                       .problem = fmt::format("is nested more than {} deep", kMostDepth)});
      } else if (c == '}' || c == ']') {
        --depth;
      }
    }
    object_.append(block_, begin, at_ - begin);
    if (object_.size() > kMostObjectBytes)
      return fail({.code = ErrorCode::kLimit,
                   .where = place(),
                   .problem = "is too long for a post",
                   .expected = fmt::format("at most {} bytes", kMostObjectBytes),
                   .found = fmt::format("{} bytes and more", object_.size())});
  }
  object_.reserve(object_.size() + simdjson::SIMDJSON_PADDING);
  return {};
}

Result<void> JsArrayReader::check_end() {
  for (;;) {
    BOBBY_TRY(const std::optional<char> c, next_character());
    if (!c) return {};
    if (*c != ';') return malformed("something stands behind the array's end", shown(*c));
  }
}

}  // namespace bobby::data
