#include "app/locate.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/decimal.h"
#include "hub/cache/cache_layout.h"
#include "hub/cache/hub_name.h"
#include "hub/cache/hub_settings.h"
#include "hub/cache/pull.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

bool path_exists(const fs::path& path) {
  std::error_code status;
  return fs::exists(path, status);
}

// "~/x" as a shell would read it: config files and variables are not read by one.
fs::path expand_home(std::string_view text, const Environment& environment) {
  if (text == "~") return environment.home();
  if (text.starts_with("~/")) return environment.home() / text.substr(2);
  return text;
}

bool is_plain_name(std::string_view text) {
  return !text.empty() && text.front() != '.' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

fs::path hub_cache(const Environment& environment) {
  return hub::hub_cache_folder([&](std::string_view name) { return environment.get(name); });
}

std::optional<float> parse_scale(std::string_view text) {
  const std::optional<float> value = parse_float(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace

Result<fs::path> locate_model(std::string_view name, const Environment& environment) {
  const fs::path path = expand_home(name, environment);
  if (path_exists(path)) return path;
  const fs::path installed = environment.data_folder() / "models" / name;
  if (is_plain_name(name)) {
    if (path_exists(installed)) return installed;
    const bool demo = name == "demo";
    return fail({.code = ErrorCode::kNotFound,
                 .where = fmt::format("model '{}'", name),
                 .problem = fmt::format("is neither a folder here nor at {}", installed.string()),
                 .hint = demo ? "`make post` fetches the demo model, --model names another"
                              : "--model takes a folder or ORG/NAME"});
  }
  const auto hub_name = hub::parse_hub_name(name);
  if (!hub_name)
    return fail({.code = ErrorCode::kNotFound,
                 .where = path.string(),
                 .problem = "no such model folder",
                 .hint = "--model takes a folder, an installed model's name or ORG/NAME"});
  const fs::path cache = hub_cache(environment);
  if (auto snapshot = hub::find_snapshot(*hub_name, cache)) return *std::move(snapshot);
  return fail({.code = ErrorCode::kNotFound,
               .where = hub_name->text(),
               .problem = fmt::format("is neither a folder nor in the Hugging Face cache ({})",
                                      (cache / hub::folder_name(*hub_name)).string()),
               .hint = fmt::format("`bobby model pull {}` downloads it", hub_name->text())});
}

AdapterName parse_adapter_name(std::string_view text, const Environment& environment) {
  AdapterName adapter{.name = std::string(text), .folder = {}, .scale = std::nullopt};
  if (const auto colon = text.rfind(':');
      colon != std::string_view::npos && !path_exists(expand_home(text, environment))) {
    if (const auto scale = parse_scale(text.substr(colon + 1))) {
      adapter.name = std::string(text.substr(0, colon));
      adapter.scale = scale;
    }
  }
  return adapter;
}

Result<AdapterName> locate_adapter(std::string_view text, const Environment& environment) {
  AdapterName adapter = parse_adapter_name(text, environment);
  adapter.folder = expand_home(adapter.name, environment);
  if (path_exists(adapter.folder)) return adapter;
  const fs::path installed = environment.data_folder() / "adapters" / adapter.name;
  if (is_plain_name(adapter.name) && path_exists(installed)) {
    adapter.folder = installed;
    return adapter;
  }
  if (const auto hub_name = hub::parse_hub_name(adapter.name))
    if (auto snapshot = hub::find_snapshot(*hub_name, hub_cache(environment))) {
      adapter.folder = *std::move(snapshot);
      return adapter;
    }
  return fail(
      {.code = ErrorCode::kNotFound,
       .where = fmt::format("adapter '{}'", adapter.name),
       .problem = is_plain_name(adapter.name)
                      ? fmt::format("is neither a folder here nor at {}", installed.string())
                      : "no such folder",
       .hint = "--adapter takes a folder, a .gguf file or ORG/NAME, with an optional :SCALE"});
}

}  // namespace bobby
