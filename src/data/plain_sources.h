#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "data/source.h"

namespace bobby::data {

/// Posts of a JSON Lines file, one object a line, in any of mlx-lm's forms: {"text"}, {"prompt",
/// "completion"}, {"messages"} with one question and one answer, which keep their prompts. Beside
/// "text" may stand "id", "language" (or "lang"), "reply" and "quote"; other keys are not looked
/// at. Errors name file and line.
Result<std::unique_ptr<PostSource>> open_jsonl(const std::filesystem::path& path);

/// Where one post of a text file ends.
enum class TextPosts : std::uint8_t {
  kLines,   ///< each line is one
  kBlocks,  ///< empty lines stand between them
};

/// Posts of a plain text file in UTF-8. Errors name file and line.
Result<std::unique_ptr<PostSource>> open_text(const std::filesystem::path& path, TextPosts posts);

}  // namespace bobby::data
