#pragma once

#include <optional>
#include <string>

#include "app/environment.h"
#include "base/result.h"

namespace bobby::cli {

/// Lets a person change `text` in $VISUAL, $EDITOR or vi, in a file of his alone, and gives what he
/// left there, without line ends after it. Nothing: the editor failed, or left no text. kIo: the
/// file cannot be made or read.
Result<std::optional<std::string>> edit_text(const std::string& text,
                                             const Environment& environment);

}  // namespace bobby::cli
