#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "training/durable_files.h"

namespace bobby {

/// One report: of the training loss since the report before, or of the validation loss.
struct MetricsRow {
  std::int64_t iteration = 0;
  std::optional<double> train_loss;
  std::optional<double> val_loss;
  std::int64_t tokens = 0;  ///< trained so far
  double learning_rate = 0.0;
  double tok_s = 0.0;  ///< trained tokens a second since the report before

  bool operator==(const MetricsRow&) const = default;
};

/// The row as `bobby train --json` prints it and metrics.jsonl holds it, on one line.
std::string metrics_json(const MetricsRow& row);
/// kMalformed.
Result<MetricsRow> parse_metrics_json(std::string_view line);

/// A text that the adapter wrote during training.
struct SampleText {
  std::int64_t iteration = 0;
  std::string prompt;
  std::uint64_t seed = 0;
  std::string text;
};
std::string sample_json(const SampleText& sample);

/// How far each file had come: what a checkpoint keeps, so that a resumed run writes on from there.
using MetricsPosition = std::map<std::string, std::int64_t>;

/// The reports of a run in its folder: metrics.jsonl, metrics.csv, samples.jsonl, an event file for
/// TensorBoard, and loss.svg.
class MetricsFiles {
 public:
  /// Cuts every file to where `position` says it was (an empty one starts anew). kIo, kMismatch,
  /// kMalformed.
  static Result<MetricsFiles> open(const std::filesystem::path& folder,
                                   const MetricsPosition& position);

  /// kIo.
  Result<void> add(const MetricsRow& row);
  Result<void> add(const SampleText& sample);
  /// Draws loss.svg anew. kIo.
  Result<void> draw();
  /// Makes sure that everything added is on the disk. kIo.
  Result<void> sync();

  MetricsPosition position() const;
  const std::vector<MetricsRow>& rows() const { return rows_; }

 private:
  explicit MetricsFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  AppendFile& file(std::string_view name) { return files_.find(name)->second; }
  Result<void> begin();

  std::filesystem::path folder_;
  std::map<std::string, AppendFile, std::less<>> files_;
  std::vector<MetricsRow> rows_;
};

}  // namespace bobby
