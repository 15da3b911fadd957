#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "app/environment.h"
#include "base/result.h"

namespace bobby {

/// The folder that --model names: a path; the name of a model under the data folder's models/; or
/// ORG/NAME[@revision] in the Hugging Face cache. Nothing is downloaded: obtain_model() does that.
/// kNotFound says what was tried and what to do.
Result<std::filesystem::path> locate_model(std::string_view name, const Environment& environment);

/// One --adapter: where its folder or GGUF file is and, from a trailing ":20", the scale in place
/// of its own.
struct AdapterName {
  std::string name;  ///< without the scale
  std::filesystem::path folder;
  std::optional<float> scale;
};

/// `text` without the folder. A trailing ":number" is a scale, unless the whole is an existing
/// path.
AdapterName parse_adapter_name(std::string_view text, const Environment& environment);

/// A path, the name of an adapter under the data folder's adapters/, or ORG/NAME[@revision] in the
/// Hugging Face cache, with a scale or without. Nothing is downloaded: obtain_adapter() does that.
Result<AdapterName> locate_adapter(std::string_view text, const Environment& environment);

}  // namespace bobby
