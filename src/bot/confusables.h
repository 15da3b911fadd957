#pragma once

#include <string_view>

namespace bobby::bot {

/// The lower-case Latin letters that `c`, a character beyond ASCII, looks like: "o" for the Greek
/// omicron, "il" for what might be either; empty for most characters, and for those that become
/// such letters by folding (NFKD, case, marks dropped).
std::string_view looks_like(char32_t c);

}  // namespace bobby::bot
