#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bobby {

/// The checkpoint's path of a module that GGUF calls `name`: "blk.3.attn_q" →
/// "model.layers.3.self_attn.q_proj"; nullopt for a name that no checkpoint here has a place for.
std::optional<std::string> checkpoint_path(std::string_view name);

/// The way back: "model.layers.3.self_attn.q_proj" → "blk.3.attn_q".
std::optional<std::string> gguf_name(std::string_view path);

/// What GGUF calls the architecture of a config.json's model_type ("mistral" is "llama"); nullopt
/// for one whose names are not known here.
std::optional<std::string_view> gguf_architecture(std::string_view model_type);

}  // namespace bobby
