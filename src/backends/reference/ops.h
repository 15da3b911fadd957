#pragma once

// The operations of the seam as free functions; backend.h says what each computes. Shapes are
// asserted. Sums are fp64, so that no order of theirs is part of the definition.

#include "backends/backend.h"

namespace bobby::reference {

/// x W^T and x's LoRA deltas are summed in fp64 and rounded once. Several LoRAs each see the base's
/// own product y (before the bias): out = y + bias + sum of deltas.
void linear(Activation x, std::span<const Projection> projections);

/// The row is dequantised, then given its deltas: column token of A, [rank, vocab_size], through B.
/// DoRA has no place here: its multiplier would be one a token, not one an output.
void embed(const Weight& table, std::span<const std::int32_t> tokens,
           std::span<const LoraRows> lora, Activation out);

void rms_norm(Activation x, const Weight& weight, float eps, Activation out);

/// The angle is the fp32 product position * inv_freq, as MLX and transformers have it; its sine and
/// cosine are taken in fp64 and rounded to fp32.
void rope_and_store(const RopeStore& args);

void attention(const Attention& args);

}  // namespace bobby::reference
