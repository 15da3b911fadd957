#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "model/config.h"

namespace bobby {

/// A config.json and what it says.
struct SynthConfig {
  nlohmann::json json;
  ModelConfig config;
};

/// The config of a named architecture, of a model folder, or of a file; see SynthOptions::arch.
/// `bits` and `group_size` are those of a named architecture (bits 0: dense). kUnsupported: a mode
/// that is not affine.
Result<SynthConfig> synth_config(const std::string& arch, int bits, int group_size);

}  // namespace bobby
