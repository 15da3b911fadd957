#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bobby {

/// "model.layers.20.self_attn.q_proj" → 20 and "self_attn.q_proj"; no layer and the whole path for
/// a module outside the blocks.
struct BlockPath {
  std::optional<std::int64_t> layer;
  std::string_view rest;  ///< in the path that was given
};
BlockPath block_path(std::string_view path);

/// The adapted modules that mlx-lm and PEFT give a meaning of their own.
inline constexpr std::string_view kEmbeddingPath = "model.embed_tokens";
inline constexpr std::string_view kHeadPath = "lm_head";

}  // namespace bobby
