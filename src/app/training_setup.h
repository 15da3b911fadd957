#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/settings.h"
#include "backends/backend.h"
#include "base/result.h"
#include "hub/cache/download.h"
#include "tokenizer/tokenizer.h"
#include "training/durable_files.h"
#include "training/trainer.h"
#include "voice/prompt_form.h"

namespace bobby {

/// All that a training run is made of. Members are destroyed last to first, so the network goes
/// before its backend.
struct TrainingSetup {
  TrainingConfig config;
  std::filesystem::path model_folder;
  std::string model_type;
  std::optional<FolderLock> lock;  ///< of the adapter folder; none for a plan
  std::optional<Checkpoint> checkpoint;
  PromptForm form;
  TrainingData data;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Network> network;
  TrainingRun run;                 ///< points to what stands above
  std::uint64_t available = 0;     ///< bytes of memory, 0 where not known
  std::vector<std::string> notes;  ///< what the user should know before it begins
};

/// Reads the config that `settings` names, or that of the run to resume, with the flags on top of
/// it; then the data, the model and the checkpoint, and takes the adapter folder. `plan`: nothing
/// is written, and a folder in use is no error. kUsage, kMismatch (the data or the model is not
/// that of the run to resume), and what its parts report.
Result<std::unique_ptr<TrainingSetup>> set_up_training(const Settings& settings, bool plan,
                                                       const hub::PullWatch& watch = {});

/// Writes posts with the adapter as it is now, for TrainingWatch::write_samples. The model is
/// loaded a second time, when the first is asked for; on the CPU both share the mapped file.
class TrainingSamples {
 public:
  /// Both must outlive it.
  TrainingSamples(const Settings& settings, const TrainingSetup& setup);
  ~TrainingSamples();

  /// One text for each prompt and count of config.samples, always from the same seeds.
  Result<std::vector<SampleText>> write(std::int64_t iteration,
                                        std::span<const TrainableTensor> tensors);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bobby
