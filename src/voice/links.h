#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace bobby {

/// Where a web address stands in a text: bytes [begin, end).
struct LinkSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The next "http://..." or "https://..." from byte `from` on. It ends before a space, and before
/// the punctuation that a sentence puts behind it.
std::optional<LinkSpan> find_link(std::string_view text, std::size_t from = 0);

/// `text` with every link replaced by what `replacement` gives for it. Where that is nothing, the
/// space before the link goes too.
std::string replace_links(std::string_view text,
                          const std::function<std::string(std::string_view)>& replacement);

/// `text` without links.
std::string without_links(std::string_view text);

}  // namespace bobby
