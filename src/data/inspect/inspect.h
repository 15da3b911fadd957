#pragma once

#include <filesystem>
#include <functional>

#include "base/progress.h"
#include "data/inspect/report.h"

namespace bobby::inspection {

/// What a tokenizer makes of a record: targets from `loss_begin` on are trained.
struct RecordTokens {
  std::vector<std::int32_t> tokens;
  std::int64_t loss_begin = 0;
};

/// The tokenizer's side, filled by whoever has one; this room knows none.
struct TokenSource {
  std::string model;
  std::string prompt_form;
  /// The record as training has it, prompt masked. An error is counted and shown, not fatal.
  std::function<Result<RecordTokens>(const DataRecord&)> tokenize;
  std::function<std::string(std::int32_t)> bytes;  ///< of one token

  explicit operator bool() const { return static_cast<bool>(tokenize); }
};

struct InspectOptions {
  std::int64_t max_seq_length = 2048;  ///< mlx-lm's default; at least 2
  std::int64_t samples = 6;
  std::uint64_t seed = 0;   ///< which records are shown
  TokenSource tokens = {};  ///< may be empty: no tokens then
  ProgressFn progress = {};
};

/// Reads train.jsonl, valid.jsonl and test.jsonl of `folder`, those that are there, and
/// manifest.json, and looks at them. kNotFound: neither train.jsonl nor valid.jsonl; errors of
/// read_data_file() and read_manifest(), those of all files in one.
Result<Report> inspect_folder(const std::filesystem::path& folder, const InspectOptions& options);

/// The same of files that were read, without a manifest. `files` are of the splits "train",
/// "valid", "test" by their names without ".jsonl". kIo, kLimit: repeats are looked for on disk.
Result<Report> inspect_files(const std::vector<DataFile>& files, const InspectOptions& options);

/// Tokens as they are shown: bytes joined to whole characters, what is cut and trained told apart.
std::vector<TokenPiece> token_pieces(const RecordTokens& record, const TokenSource& source,
                                     std::int64_t max_seq_length);

}  // namespace bobby::inspection
