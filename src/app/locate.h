#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "app/environment.h"
#include "base/result.h"

namespace bobby {

/// The folder that --model names: a path; the name of a model under the data folder's models/; or
/// ORG/NAME[@revision], looked up in the Hugging Face cache, read-only. kNotFound says what was
/// tried and what to do.
Result<std::filesystem::path> locate_model(std::string_view name, const Environment& environment);

/// The snapshot of ORG/NAME[@revision] in the Hugging Face cache, read-only. kUsage: another shape
/// of name; kNotFound says where it was looked for.
Result<std::filesystem::path> locate_in_hub_cache(std::string_view name,
                                                  const Environment& environment);

/// One --adapter: where its folder or GGUF file is and, from a trailing ":20", the scale in place
/// of its own.
struct AdapterName {
  std::string name;  ///< without the scale
  std::filesystem::path folder;
  std::optional<float> scale;
};

/// A path or the name of an adapter under the data folder's adapters/. A trailing ":number" is a
/// scale, unless the whole is an existing path.
Result<AdapterName> locate_adapter(std::string_view text, const Environment& environment);

}  // namespace bobby
