// bobby model list: what is here already, of the hub and otherwise.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/obtain.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "hub/cache/cached_repositories.h"

namespace bobby::cli {
namespace {

namespace fs = std::filesystem;

// What --model or --adapter takes, and where it is.
struct Row {
  std::string name;
  std::string kind;  // "model", "adapter"; "part" where something lacks
  std::string commit;
  std::uint64_t bytes = 0;
  std::size_t files = 0;
  fs::path folder = {};
};

std::string kind_name(hub::Content content) {
  if (content == hub::Content::kModel) return "model";
  return content == hub::Content::kAdapter ? "adapter" : "part";
}

void add_cached(const fs::path& cache, std::vector<Row>& rows) {
  for (const hub::CachedModel& model : hub::list_cached(cache)) {
    for (const hub::CachedRevision& revision : model.revisions) {
      // A branch is named as it is asked for; a commit that none stands for by itself.
      std::vector<std::string> names = revision.refs;
      if (names.empty()) names.push_back(revision.commit);
      for (const std::string& name : names)
        rows.push_back({.name = name == "main" ? model.name : model.name + "@" + name,
                        .kind = kind_name(revision.content),
                        .commit = revision.commit,
                        .bytes = revision.bytes,
                        .files = revision.files,
                        .folder = revision.folder});
    }
    if (model.revisions.empty())
      rows.push_back({.name = model.name, .kind = "part", .commit = {}, .bytes = model.bytes});
  }
}

// The folders under the data folder's models/ and adapters/.
void add_installed(const fs::path& folder, std::string_view kind, std::vector<Row>& rows) {
  std::vector<Row> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_directory(error)) continue;
    Row row{.name = entry->path().filename().string(), .kind = std::string(kind), .commit = {}};
    row.folder = entry->path();
    for (const auto& file : fs::directory_iterator(entry->path(), error)) {
      const std::uintmax_t size = file.is_regular_file(error) ? file.file_size(error) : 0;
      row.bytes += error ? 0 : size;
      ++row.files;
    }
    found.push_back(std::move(row));
  }
  std::ranges::sort(found, {}, &Row::name);
  std::ranges::move(found, std::back_inserter(rows));
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  BOBBY_TRY(const hub::HubSettings its, hub_settings(settings));
  std::vector<Row> rows;
  const fs::path data = settings.environment().data_folder();
  add_installed(data / "models", "model", rows);
  add_installed(data / "adapters", "adapter", rows);
  add_cached(its.cache, rows);
  std::size_t width = 0;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  for (const Row& row : rows) {
    if (console.json())
      console.print_json({{"name", row.name},
                          {"kind", row.kind},
                          {"commit", row.commit},
                          {"bytes", row.bytes},
                          {"files", row.files},
                          {"folder", row.folder.string()}});
    else
      console.print(fmt::format("{:<{}}  {:<7}  {:>9}  {}", row.name, width, row.kind,
                                size_text(row.bytes), row.commit.substr(0, 12)));
  }
  if (rows.empty())
    console.note(
        fmt::format("there is nothing in {}, nor in {}", data.string(), its.cache.string()));
  return kDone;
}

constexpr Example kExamples[] = {
    {"bobby model list", "name, kind, size and commit of what --model and --adapter can take"},
    {"bobby model list --json", "the same with folders, one object a line"},
};

}  // namespace

const Command kModelList = {
    .group = "model",
    .name = "list",
    .summary = "list the models and adapters that are here",
    .description =
        "Lists the models and adapters in bobby's data folder and in the Hugging Face cache, as "
        "--model and --adapter name them. A kind of \"part\" lacks files: a pull that has not "
        "ended, or what another program fetched for itself. Files that revisions share are counted "
        "with each.",
    .arguments = {},
    .options = {},
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
