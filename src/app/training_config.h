#pragma once

#include "app/settings.h"
#include "base/result.h"
#include "training/checkpoint.h"
#include "training/config.h"

namespace bobby {

/// The config of a training run: the file that --config names, or what `saved` (the run to resume)
/// was begun with; then the flags of that run, then those given now. Returns the config's texts,
/// for the next checkpoint. kUsage: neither a file, nor data, nor a run to resume; and what reading
/// reports.
Result<RunIdentity> read_run_config(const Settings& settings, const RunIdentity* saved,
                                    TrainingConfig& config);

}  // namespace bobby
