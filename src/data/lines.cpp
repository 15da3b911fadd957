#include "data/lines.h"

#include <fmt/format.h>
#include <simdjson.h>

namespace bobby::data {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 18;

}  // namespace

// Moves what is left of the buffer to its beginning and adds a block.
Result<void> LineReader::fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const std::size_t kept = buffer_.size();
  buffer_.resize(kept + kBlockBytes);
  BOBBY_TRY(const std::size_t count, stream_.read(std::span(buffer_).subspan(kept)));
  buffer_.resize(kept + count);
  ended_ = count == 0;
  if (!started_) {
    started_ = true;
    BOBBY_TRY(begin_, check_text_beginning(buffer_));
  }
  return {};
}

Result<std::optional<std::string_view>> LineReader::next() {
  std::size_t searched = 0;  // from begin_
  std::size_t end = std::string::npos;
  for (;;) {
    end = buffer_.find('\n', begin_ + searched);
    if (end != std::string::npos || ended_) break;
    searched = buffer_.size() - begin_;
    if (searched > limit_) break;
    BOBBY_CHECK(fill());
  }
  if (end == std::string::npos && begin_ == buffer_.size()) return std::nullopt;
  ++number_;
  std::string_view line = std::string_view(buffer_).substr(begin_);
  if (end != std::string::npos) line = line.substr(0, end - begin_);
  if (line.size() > limit_)
    return fail({.code = ErrorCode::kLimit,
                 .where = place(),
                 .problem = "is too long for a post",
                 .expected = fmt::format("at most {} bytes in a line", limit_),
                 .found = end != std::string::npos ? fmt::format("{} bytes", line.size())
                                                   : "a line without an end"});
  begin_ += line.size() + (end != std::string::npos ? 1 : 0);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.find('\0') != std::string_view::npos)
    return fail({.code = ErrorCode::kMalformed, .where = place(), .problem = "holds a NUL byte"});
  if (!simdjson::validate_utf8(line.data(), line.size()))
    return fail({.code = ErrorCode::kMalformed,
                 .where = place(),
                 .problem = "is not UTF-8",
                 .expected = "UTF-8 text",
                 .found = "bytes of another encoding",
                 .hint = "save the file as UTF-8"});
  return line;
}

}  // namespace bobby::data
