#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "bobby_process.h"

namespace bobby::e2e {

/// config.json of a qwen3 model of two small layers, 4-bit, with heads * head_dim != hidden_size.
nlohmann::json tiny_config();

/// tokenizer.json of a byte-level BPE whose tokens are the 256 bytes and ChatML's markers, which
/// are 256 (<|endoftext|>), 257 (<|im_start|>) and 258 (<|im_end|>).
nlohmann::json tiny_tokenizer();

/// Makes world.folder/tiny, a model folder with random weights and tiny_tokenizer(), and
/// world.folder/tiny-adapter, by `bobby model synth`. Returns what that said.
Outcome make_tiny_model(const World& world);

}  // namespace bobby::e2e
