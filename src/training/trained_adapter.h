#pragma once

#include <span>

#include "lora/adapter.h"
#include "training/config.h"
#include "training/network.h"

namespace bobby {

/// What is being trained, as an adapter that a model can be run with: its values as they are now.
Adapter trained_adapter(const TrainingConfig& config, std::span<const TrainableTensor> tensors);

/// LoraSettings as the config asks for.
LoraSettings lora_settings(const TrainingConfig& config);

}  // namespace bobby
