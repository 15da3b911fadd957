#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby {

/// lora_a of one adapted module.
struct LoraA {
  std::string module;       ///< "model.layers.20.self_attn.q_proj", "lm_head", ...
  std::int64_t inputs = 0;  ///< columns of the linear; an embedding's number of rows
  std::span<float> values;  ///< [inputs, rank]
};

/// The order in which mlx_lm.lora makes the adapters of these modules: block by block from the
/// first adapted one, within a block as named_modules() walks it (up, down, gate, o, v, k, q), then
/// lm_head and the embedding. Indices into `modules`. kUnsupported names a module it does not know.
Result<std::vector<std::size_t>> mlx_module_order(std::span<const std::string> modules);

/// Fills every lora_a with the uniform numbers in +-1/sqrt(inputs) that mlx_lm.lora begins with for
/// this seed. All modules of an adapter must come in one call, in any order.
Result<void> init_lora_a(std::uint64_t seed, std::span<const LoraA> modules);

}  // namespace bobby
