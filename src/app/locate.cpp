#include "app/locate.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <vector>

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

// ORG/NAME[@revision], as the hub spells it.
struct HubName {
  std::string organisation;
  std::string name;
  std::string revision;
};

std::optional<HubName> parse_hub_name(std::string_view text) {
  const auto at = text.find('@');
  const std::string_view revision = at == std::string_view::npos ? "main" : text.substr(at + 1);
  const std::string_view repository = text.substr(0, at);
  const auto slash = repository.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  HubName hub{std::string(repository.substr(0, slash)), std::string(repository.substr(slash + 1)),
              std::string(revision)};
  // A revision becomes part of a path: no folder of it may lead out of the cache.
  const bool safe_revision =
      !revision.empty() && revision.front() != '/' && revision.find("..") == std::string_view::npos;
  if (!is_plain_name(hub.organisation) || !is_plain_name(hub.name) || !safe_revision)
    return std::nullopt;
  return hub;
}

Result<fs::path> find_snapshot(const HubName& hub, const Environment& environment) {
  const fs::path repository =
      environment.hub_cache() / fmt::format("models--{}--{}", hub.organisation, hub.name);
  std::string commit;
  std::ifstream(repository / "refs" / hub.revision) >> commit;
  if (!is_plain_name(commit)) commit = is_plain_name(hub.revision) ? hub.revision : "";
  if (!commit.empty() && path_exists(repository / "snapshots" / commit))
    return repository / "snapshots" / commit;
  const std::string what = fmt::format("{}/{}@{}", hub.organisation, hub.name, hub.revision);
  return fail({.code = ErrorCode::kNotFound,
               .where = what,
               .problem = fmt::format("is neither a folder nor in the Hugging Face cache ({})",
                                      repository.string()),
               .hint = "this version does not download models yet: fetch it with another tool "
                       "into that cache, or give a folder"});
}

std::optional<float> parse_scale(std::string_view text) {
  float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(value))
    return std::nullopt;
  return value;
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
  if (const auto hub = parse_hub_name(name)) return find_snapshot(*hub, environment);
  return fail({.code = ErrorCode::kNotFound,
               .where = path.string(),
               .problem = "no such model folder",
               .hint = "--model takes a folder, an installed model's name or ORG/NAME"});
}

Result<fs::path> locate_in_hub_cache(std::string_view name, const Environment& environment) {
  if (const auto hub = parse_hub_name(name)) return find_snapshot(*hub, environment);
  return fail({.code = ErrorCode::kUsage,
               .where = std::string(name),
               .problem = "is not a name of the hub",
               .expected = "ORG/NAME, with an optional @revision"});
}

Result<AdapterName> locate_adapter(std::string_view text, const Environment& environment) {
  AdapterName adapter{.name = std::string(text), .folder = {}, .scale = std::nullopt};
  if (const auto colon = text.rfind(':');
      colon != std::string_view::npos && !path_exists(expand_home(text, environment))) {
    if (const auto scale = parse_scale(text.substr(colon + 1))) {
      adapter.name = std::string(text.substr(0, colon));
      adapter.scale = scale;
    }
  }
  adapter.folder = expand_home(adapter.name, environment);
  if (path_exists(adapter.folder)) return adapter;
  const fs::path installed = environment.data_folder() / "adapters" / adapter.name;
  if (is_plain_name(adapter.name) && path_exists(installed)) {
    adapter.folder = installed;
    return adapter;
  }
  return fail(
      {.code = ErrorCode::kNotFound,
       .where = fmt::format("adapter '{}'", adapter.name),
       .problem = is_plain_name(adapter.name)
                      ? fmt::format("is neither a folder here nor at {}", installed.string())
                      : "no such folder",
       .hint = "--adapter takes a folder or a .gguf file, with an optional :SCALE"});
}

}  // namespace bobby
