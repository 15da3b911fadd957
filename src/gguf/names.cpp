#include "gguf/names.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace bobby {
namespace {

struct NamePair {
  std::string_view gguf;
  std::string_view checkpoint;
};

constexpr std::array<NamePair, 3> kOuterNames = {
    {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}}};
constexpr std::array<NamePair, 11> kBlockNames = {{{"attn_norm", "input_layernorm"},
                                                   {"attn_q", "self_attn.q_proj"},
                                                   {"attn_k", "self_attn.k_proj"},
                                                   {"attn_v", "self_attn.v_proj"},
                                                   {"attn_output", "self_attn.o_proj"},
                                                   {"attn_q_norm", "self_attn.q_norm"},
                                                   {"attn_k_norm", "self_attn.k_norm"},
                                                   {"ffn_norm", "post_attention_layernorm"},
                                                   {"ffn_gate", "mlp.gate_proj"},
                                                   {"ffn_up", "mlp.up_proj"},
                                                   {"ffn_down", "mlp.down_proj"}}};
constexpr std::string_view kGgufBlock = "blk.";
constexpr std::string_view kCheckpointBlock = "model.layers.";

/// "3.attn_q" → "3" and "attn_q"; nullopt when no number stands there as it would be written.
struct Numbered {
  std::string_view number;
  std::string_view rest;
};

std::optional<Numbered> split_number(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == 0 || dot == std::string_view::npos) return std::nullopt;
  const std::string_view number = text.substr(0, dot);
  const bool digits =
      std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || (number.size() > 1 && number.front() == '0')) return std::nullopt;
  return Numbered{number, text.substr(dot + 1)};
}

}  // namespace

std::optional<std::string> checkpoint_path(std::string_view name) {
  for (const NamePair& pair : kOuterNames)
    if (name == pair.gguf) return std::string(pair.checkpoint);
  if (!name.starts_with(kGgufBlock)) return std::nullopt;
  const auto numbered = split_number(name.substr(kGgufBlock.size()));
  if (!numbered) return std::nullopt;
  for (const NamePair& pair : kBlockNames)
    if (numbered->rest == pair.gguf)
      return fmt::format("{}{}.{}", kCheckpointBlock, numbered->number, pair.checkpoint);
  return std::nullopt;
}

std::optional<std::string> gguf_name(std::string_view path) {
  for (const NamePair& pair : kOuterNames)
    if (path == pair.checkpoint) return std::string(pair.gguf);
  if (!path.starts_with(kCheckpointBlock)) return std::nullopt;
  const auto numbered = split_number(path.substr(kCheckpointBlock.size()));
  if (!numbered) return std::nullopt;
  for (const NamePair& pair : kBlockNames)
    if (numbered->rest == pair.checkpoint)
      return fmt::format("{}{}.{}", kGgufBlock, numbered->number, pair.gguf);
  return std::nullopt;
}

std::optional<std::string_view> gguf_architecture(std::string_view model_type) {
  if (model_type == "llama" || model_type == "mistral") return "llama";
  if (model_type == "qwen2") return "qwen2";
  if (model_type == "qwen3") return "qwen3";
  return std::nullopt;
}

}  // namespace bobby
