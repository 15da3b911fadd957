#include "model/rope.h"

#include <cmath>
#include <cstddef>
#include <numbers>

namespace bobby {

namespace {

double llama3_scaled(double inv_freq, const RopeScaling& scaling) {
  const double context = static_cast<double>(scaling.original_max_position_embeddings);
  const double wavelength = 2.0 * std::numbers::pi / inv_freq;
  if (wavelength > context / scaling.low_freq_factor) return inv_freq / scaling.factor;
  if (wavelength <= context / scaling.high_freq_factor) return inv_freq;
  const double smooth = (context / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return inv_freq * ((1.0 - smooth) / scaling.factor + smooth);
}

}  // namespace

std::vector<float> rope_inv_freq(const ModelConfig& config) {
  std::vector<float> frequencies(static_cast<std::size_t>(config.head_dim / 2));
  const double head_dim = static_cast<double>(config.head_dim);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double plain =
        std::pow(static_cast<double>(config.rope_theta), -2.0 * static_cast<double>(i) / head_dim);
    double scaled = plain;
    if (config.rope_scaling.type == RopeScaling::Type::kLinear)
      scaled = plain / config.rope_scaling.factor;
    if (config.rope_scaling.type == RopeScaling::Type::kLlama3)
      scaled = llama3_scaled(plain, config.rope_scaling);
    frequencies[i] = static_cast<float>(scaled);
  }
  return frequencies;
}

}  // namespace bobby
