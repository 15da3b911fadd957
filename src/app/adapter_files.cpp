#include "app/adapter_files.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <set>

namespace bobby {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> kFiles = {
    "adapters.safetensors", "adapter_model.safetensors", "adapter_config.json", "voice.json"};

bool name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

FolderStamp stamp_of(const fs::path& folder) {
  FolderStamp stamp;
  std::error_code status;
  if (fs::is_regular_file(folder, status)) {
    const auto time = fs::last_write_time(folder, status);
    stamp.numbers.push_back(time.time_since_epoch().count());
    stamp.numbers.push_back(static_cast<std::int64_t>(fs::file_size(folder, status)));
    return stamp;
  }
  for (const std::string_view name : kFiles) {
    std::error_code missing;
    const auto time = fs::last_write_time(folder / name, missing);
    stamp.numbers.push_back(missing ? -1 : time.time_since_epoch().count());
    const auto size = fs::file_size(folder / name, missing);
    stamp.numbers.push_back(missing ? -1 : static_cast<std::int64_t>(size));
  }
  return stamp;
}

bool is_adapter_folder(const fs::path& folder) {
  const auto has = [&](std::string_view name) {
    std::error_code status;
    return fs::is_regular_file(folder / name, status);
  };
  std::error_code status;
  if (folder.extension() == ".gguf") return fs::is_regular_file(folder, status);
  return has("adapter_config.json") &&
         (has("adapters.safetensors") || has("adapter_model.safetensors"));
}

std::string adapter_name_of(const fs::path& folder) {
  std::error_code unresolved;
  fs::path whole = fs::weakly_canonical(folder, unresolved);
  if (unresolved) whole = folder;
  std::string name =
      whole.has_filename() ? whole.filename().string() : whole.parent_path().filename().string();
  std::ranges::replace_if(
      name, [](char c) { return !name_character(c); }, '-');
  return name.empty() ? "adapter" : name;
}

bool is_adapter_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, name_character);
}

server::AdapterEntry describe(const Adapter& adapter, std::string name) {
  server::AdapterEntry entry{.name = std::move(name),
                             .folder = adapter.folder.string(),
                             .format = std::string(source_name(adapter.source)),
                             .rank = 0,
                             .scale = adapter.scale,
                             .modules = {},
                             .parameters = adapter.parameter_count(),
                             .sha256 = adapter.sha256,
                             .is_default = false,
                             .loaded_at = {}};
  std::set<std::string> kinds;
  for (const AdapterModule& module : adapter.modules) {
    entry.rank = std::max(entry.rank, module.rank);
    kinds.insert(module.path.substr(module.path.rfind('.') + 1));
  }
  entry.modules.assign(kinds.begin(), kinds.end());
  return entry;
}

std::string timestamp() {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(now));
}

}  // namespace bobby
