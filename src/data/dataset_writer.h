#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "base/sha256.h"
#include "data/import.h"

namespace bobby::data {

/// One line of a dataset.
struct DatasetRecord {
  std::string_view system;  // empty: none
  std::string_view prompt;
  std::string_view text;
};

/// {"messages": [...]} as mlx-lm reads it, without a line end.
std::string record_line(const DatasetRecord& record);

/// The prompt for a record: one of `prompts`, drawn for the text and its copy. Precondition: there
/// is one.
const std::string& drawn_prompt(const std::vector<std::string>& prompts, std::uint64_t seed,
                                std::uint64_t text, std::uint32_t copy);

/// Writes JSON Lines files into a folder, one after the other.
class DatasetWriter {
 public:
  /// `total` records in all files.
  DatasetWriter(std::filesystem::path folder, std::uint64_t total, const ProgressFn& progress)
      : folder_(std::move(folder)), total_(total), progress_(progress) {}

  /// kIo, here and in the next two: a full disk among others.
  Result<void> begin(const std::string& name);
  Result<void> write(const DatasetRecord& record);
  Result<DatasetFile> finish();

 private:
  tl::unexpected<Error> io_error() const;

  std::filesystem::path folder_;
  std::uint64_t total_;
  const ProgressFn& progress_;
  std::uint64_t done_ = 0;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, &std::fclose};
  std::unique_ptr<Sha256> hash_;
  DatasetFile current_;
};

/// Where a dataset came from and how it was made; format and version first. Names no path, no time
/// and no machine, so that the same command writes the same bytes.
nlohmann::ordered_json manifest_json(const ImportReport& report, const ImportOptions& options);
/// Writes it as manifest.json. kIo.
Result<void> write_manifest(const std::filesystem::path& folder, const ImportReport& report,
                            const ImportOptions& options);

/// kUsage: `folder` is there and holds something else than a dataset, so it is not replaced by one.
Result<void> check_replaceable(const std::filesystem::path& folder);

}  // namespace bobby::data
