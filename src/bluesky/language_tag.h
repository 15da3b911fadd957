#pragma once

#include <string_view>

namespace bobby::bluesky {

/// Whether a text is formed as BCP 47 says: "de", "pt-BR", "zh-Hant-TW", "x-voice". Whether there
/// is such a language is not looked at; the few tags of old that break the form are refused.
bool is_language_tag(std::string_view text);

}  // namespace bobby::bluesky
