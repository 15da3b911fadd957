#pragma once

#include <string>
#include <vector>

#include "training/config.h"
#include "training/yaml_mapping.h"

namespace bobby {

/// Reads every key of `root` into a config; what is wrong is reported to the mapping's problems.
TrainingConfig read_config_keys(YamlMapping& root);

/// optimizer and optimizer_config, with the defaults of the mode.
OptimizerConfig read_optimizer(YamlMapping& root, bool compat_mlx);

}  // namespace bobby
