#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.h"
#include "base/result.h"
#include "model/config.h"
#include "model/weight_loader.h"
#include "safetensors/safetensors.h"

namespace bobby {

/// The projections of a block, in the order of the forward.
enum class BlockProjection : std::uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr std::size_t kBlockProjections = 7;
/// "self_attn.q_proj", ...: paths within a block, the checkpoint's.
inline constexpr std::array<std::string_view, kBlockProjections> kBlockProjectionNames = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

/// A pre-norm block with grouped-query attention and SwiGLU, as Qwen3 and Llama have it.
struct BlockWeights {
  const Weight* input_layernorm = nullptr;              // [hidden_size]
  std::array<Linear, kBlockProjections> projections{};  // by BlockProjection
  const Weight* q_norm = nullptr;                       // [head_dim]; null in Llama
  const Weight* k_norm = nullptr;                       // [head_dim]; null in Llama
  const Weight* post_attention_layernorm = nullptr;     // [hidden_size]

  const Linear& operator[](BlockProjection projection) const {
    return projections[static_cast<std::size_t>(projection)];
  }
};

/// The frozen base of a network, on a backend.
struct NetworkWeights {
  /// All missing, unknown and wrong-shaped tensors in one Error.
  static Result<std::unique_ptr<NetworkWeights>> load(const std::filesystem::path& folder,
                                                      Backend& backend);

  std::size_t bytes() const;

  ModelConfig config;
  safetensors::Checkpoint checkpoint;
  LoadedWeights loaded = {};
  Linear embed_tokens = {};  // [vocab_size, hidden_size]
  std::vector<BlockWeights> blocks = {};
  const Weight* norm = nullptr;      // [hidden_size]
  const Weight* inv_freq = nullptr;  // [head_dim / 2]
  Linear lm_head = {};               // [vocab_size, hidden_size]
};

}  // namespace bobby
