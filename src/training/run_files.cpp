#include "training/run_files.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "training/adapter_writer.h"
#include "training/durable_files.h"

namespace bobby {

namespace fs = std::filesystem;

namespace {

// The texts stay as they are for a whole run: they are written when they are not there yet.
Result<void> write_if_changed(const fs::path& file, const std::string& text) {
  std::ifstream stream(file, std::ios::binary);
  const std::string there((std::istreambuf_iterator<char>(stream)), {});
  if (stream && there == text) return {};
  return write_file_durably(file, text);
}

}  // namespace

Result<RunFiles> RunFiles::open(const fs::path& folder, const AdapterTexts& texts,
                                const MetricsPosition& position, std::int64_t keep_checkpoints) {
  BOBBY_TRY(MetricsFiles metrics, MetricsFiles::open(folder, position));
  return RunFiles(folder, texts, std::move(metrics), keep_checkpoints);
}

Result<void> RunFiles::write_adapter(std::span<const TrainableTensor> tensors) {
  BOBBY_CHECK(write_adapter_tensors(folder_ / kAdapterFile, tensors));
  BOBBY_CHECK(write_if_changed(folder_ / kAdapterConfigFile, texts_.adapter_config));
  return write_if_changed(folder_ / kVoiceFile, texts_.voice);
}

Result<void> RunFiles::write_numbered(std::int64_t iteration,
                                      std::span<const TrainableTensor> tensors) {
  BOBBY_CHECK(write_adapter_tensors(folder_ / numbered_adapter_file(iteration), tensors));
  if (keep_checkpoints_ > 0) remove_old_numbered();
  return {};
}

Result<void> RunFiles::write_best(std::span<const TrainableTensor> tensors) {
  return write_adapter_folder(folder_ / kBestFolder, tensors, texts_);
}

Result<void> RunFiles::write_last(TrainingState& state, const OptimizerState& optimizer,
                                  const RunIdentity& identity,
                                  std::span<const TrainableTensor> tensors) {
  BOBBY_CHECK(metrics_.sync());
  BOBBY_CHECK(metrics_.draw());
  state.metrics = metrics_.position();
  return write_checkpoint(folder_ / kLastFolder, {tensors, optimizer, state, identity, texts_});
}

void RunFiles::remove_old_numbered() const {
  const std::string ending = "_" + std::string(kAdapterFile);
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    const bool numbered =
        name.ends_with(ending) && name.size() >= ending.size() + 7 &&
        std::all_of(name.begin(), name.end() - static_cast<std::ptrdiff_t>(ending.size()),
                    [](char c) { return c >= '0' && c <= '9'; });
    if (numbered) names.push_back(name);
  }
  // By number: names of more than seven digits come after the others.
  std::ranges::sort(names, [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  const auto kept = static_cast<std::size_t>(keep_checkpoints_);
  for (std::size_t i = 0; i + kept < names.size(); ++i) fs::remove(folder_ / names[i], error);
}

}  // namespace bobby
