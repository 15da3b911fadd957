#include "hub/model_files.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace bobby {
namespace {

namespace fs = std::filesystem;

/// Whether a file of a model folder is neither weights nor config.json: tokenizer, generation
/// defaults, chat template, licence.
bool is_copied(const fs::path& file) {
  constexpr std::array<std::string_view, 6> kExtensions = {".json",  ".jinja", ".txt",
                                                           ".model", ".md",    ".tiktoken"};
  const std::string name = file.filename().string();
  if (name == "config.json" || name.ends_with(".index.json") || name.starts_with('.')) return false;
  if (name.starts_with("LICENSE") || name.starts_with("NOTICE")) return true;
  return std::ranges::find(kExtensions, file.extension().string()) != kExtensions.end();
}

}  // namespace

Result<void> copy_model_files(const fs::path& source, const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(source, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_regular_file(error) || !is_copied(entry->path())) continue;
    fs::copy_file(entry->path(), folder / entry->path().filename(), error);
    if (error)
      return fail({.code = ErrorCode::kIo,
                   .where = entry->path().string(),
                   .problem = "cannot be copied: " + error.message()});
  }
  if (error)
    return fail({.code = ErrorCode::kIo, .where = source.string(), .problem = error.message()});
  return {};
}

}  // namespace bobby
