#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"
#include "training/network.h"

namespace bobby {

/// Names of the files of an adapter folder.
inline constexpr std::string_view kAdapterFile = "adapters.safetensors";
inline constexpr std::string_view kAdapterConfigFile = "adapter_config.json";
inline constexpr std::string_view kVoiceFile = "voice.json";
/// "0000100_adapters.safetensors"
std::string numbered_adapter_file(std::int64_t iteration);

/// Writes the tensors as mlx-lm saves them, whole or not at all. kIo.
Result<void> write_adapter_tensors(const std::filesystem::path& file,
                                   std::span<const TrainableTensor> tensors);

/// Reads `file` into the values of `tensors`. kMismatch: names or shapes differ, every one of them
/// in one Error; kNumeric: a number that is not finite; otherwise what opening it reports.
Result<void> read_adapter_tensors(const std::filesystem::path& file,
                                  std::span<TrainableTensor> tensors);

}  // namespace bobby
