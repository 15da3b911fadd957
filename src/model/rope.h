#pragma once

#include <vector>

#include "model/config.h"

namespace bobby {

/// Rotary frequencies [head_dim / 2]: the pair (i, i + head_dim/2) turns by position * inv_freq[i].
/// rope_theta^(-2i / head_dim), changed by `rope_scaling`: linear divides all by `factor`; llama3
/// divides the long wavelengths, keeps the short ones and blends between (Llama 3.1, and mlx-lm's
/// Llama3RoPE).
std::vector<float> rope_inv_freq(const ModelConfig& config);

}  // namespace bobby
