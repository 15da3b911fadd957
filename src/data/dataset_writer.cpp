#include "data/dataset_writer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <system_error>

#include "data/draws.h"

namespace bobby::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::string_view kManifest = "manifest.json";
constexpr int kManifestVersion = 1;
constexpr std::uint64_t kShownEvery = 1024;

std::string_view link_rule_name(LinkRule rule) {
  switch (rule) {
    case LinkRule::kDrop: return "drop";
    case LinkRule::kKeep: return "keep";
    case LinkRule::kSkip: return "skip";
  }
  return "";
}

Json source_json(const SourceOutcome& source) {
  Json files = Json::array();
  for (const SourceFile& file : source.report.files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  const SourceCounts& counts = source.report.counts;
  return {{"kind", source.kind},
          {"name", source.name},
          {"weight", source.weight},
          {"files", std::move(files)},
          {"read", counts.read},
          {"taken", counts.taken},
          {"left_out", counts.left_out},
          {"noted", counts.noted},
          {"train_posts", source.train_posts},
          {"train_records", source.train_records},
          {"valid_posts", source.valid_posts}};
}

Json settings_json(const ImportOptions& options) {
  return {{"min_chars", options.filter.min_chars},
          {"max_chars", options.filter.max_chars},
          {"replies", options.filter.replies},
          {"quotes", options.filter.quotes},
          {"links", link_rule_name(options.filter.links)},
          {"languages", options.filter.languages},
          {"keep_duplicates", options.keep_duplicates},
          {"near", options.near},
          {"valid", options.selection.valid},
          {"prompts", options.prompts},
          {"system", options.system}};
}

}  // namespace

std::string record_line(const DatasetRecord& record) {
  Json messages = Json::array();
  if (!record.system.empty()) messages.push_back({{"role", "system"}, {"content", record.system}});
  messages.push_back({{"role", "user"}, {"content", record.prompt}});
  messages.push_back({{"role", "assistant"}, {"content", record.text}});
  return Json{{"messages", std::move(messages)}}.dump();
}

const std::string& drawn_prompt(const std::vector<std::string>& prompts, std::uint64_t seed,
                                std::uint64_t text, std::uint32_t copy) {
  const double share = draw(seed, Draw::kPrompt, text, copy);
  return prompts[static_cast<std::size_t>(share * static_cast<double>(prompts.size()))];
}

tl::unexpected<Error> DatasetWriter::io_error() const {
  return fail({.code = ErrorCode::kIo,
               .where = current_.name,
               .problem = std::string("cannot be written: ") + std::strerror(errno)});
}

Result<void> DatasetWriter::begin(const std::string& name) {
  current_ = {.name = name, .records = 0, .bytes = 0, .sha256 = {}};
  hash_ = std::make_unique<Sha256>();
  file_.reset(std::fopen((folder_ / name).c_str(), "wb"));
  return file_ ? Result<void>() : io_error();
}

Result<void> DatasetWriter::write(const DatasetRecord& record) {
  const std::string line = record_line(record) + '\n';
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size()) return io_error();
  hash_->update(std::as_bytes(std::span(line)));
  ++current_.records;
  current_.bytes += line.size();
  if (progress_ && ++done_ % kShownEvery == 0)
    progress_({.phase = "write", .done = done_, .total = total_});
  return {};
}

Result<DatasetFile> DatasetWriter::finish() {
  if (std::fclose(file_.release()) != 0) return io_error();
  current_.sha256 = hash_->hex_digest();
  return current_;
}

Json manifest_json(const ImportReport& report, const ImportOptions& options) {
  Json sources = Json::array();
  for (const SourceOutcome& source : report.sources) sources.push_back(source_json(source));
  Json files = Json::array();
  for (const DatasetFile& file : report.files)
    files.push_back({{"name", file.name},
                     {"records", file.records},
                     {"bytes", file.bytes},
                     {"sha256", file.sha256}});
  return {{"format", "bobby-dataset"},      {"version", kManifestVersion},
          {"seed", options.selection.seed}, {"settings", settings_json(options)},
          {"sources", std::move(sources)},  {"files", std::move(files)}};
}

Result<void> write_manifest(const fs::path& folder, const ImportReport& report,
                            const ImportOptions& options) {
  const std::string text = manifest_json(report, options).dump(2) + '\n';
  const auto error = [] {
    return fail({.code = ErrorCode::kIo,
                 .where = std::string(kManifest),
                 .problem = std::string("cannot be written: ") + std::strerror(errno)});
  };
  std::FILE* file = std::fopen((folder / kManifest).c_str(), "wb");
  if (file == nullptr) return error();
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  return written && closed ? Result<void>() : error();
}

Result<void> check_replaceable(const fs::path& folder) {
  constexpr std::array<std::string_view, 4> kOurs = {"train.jsonl", "valid.jsonl", "test.jsonl",
                                                     kManifest};
  std::error_code error;
  if (!fs::is_directory(folder, error)) return {};
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (std::ranges::find(kOurs, name) == kOurs.end())
      return fail({.code = ErrorCode::kUsage,
                   .where = folder.string(),
                   .problem = "holds more than a dataset, so it is not replaced",
                   .found = name,
                   .hint = "name another folder"});
  }
  return {};
}

}  // namespace bobby::data
