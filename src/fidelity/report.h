#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lora/weight_delta.h"

namespace bobby::fidelity {

/// The ways to use an adapter that are compared with the reference.
enum class Way : std::uint8_t {
  kRuntime,          ///< as posts are written: the base as it is, the pairs beside it
  kFused,            ///< worked into the weights, these in 16 (or 32) bits
  kRequantized,      ///< worked into the weights, the adapted ones quantised again
  kBaseRequantized,  ///< control: the same weights quantised again without it, the pairs beside
                     ///< them
  kNoAdapter,        ///< control: the base alone, which is how far the adapter moves a text
};
inline constexpr std::size_t kWays = 5;
/// "runtime", "fused", ...: stable names, for JSON.
std::string_view way_name(Way way);

/// Which token a row of logits puts first, and how clearly.
struct ReferenceRow {
  double loss = 0.0;    ///< -log p of the token that stands there
  double margin = 0.0;  ///< log p of the first token less that of the second
};

/// One position under a way.
struct WayRow {
  double divergence = 0.0;  ///< KL(reference || way), nats
  double loss = 0.0;        ///< -log p of the token that stands there
  bool same_top = false;    ///< whether its first token is the reference's
};

/// How far a way is from the reference.
struct WayResult {
  Way way = Way::kRuntime;
  std::string name;          ///< for tables: "runtime LoRA (cpu)"
  std::vector<WayRow> rows;  ///< by position; empty where no text was run
};

/// Aggregates of a way's rows.
struct WayNumbers {
  double mean_divergence = 0.0;
  double p50_divergence = 0.0;
  double p99_divergence = 0.0;
  double max_divergence = 0.0;
  double perplexity = 0.0;
  std::int64_t top_differs = 0;
  double top_agreement = 0.0;  ///< share of positions, 0 to 1
  double widest_margin = 0.0;  ///< of the reference, where the first token differs; 0: nowhere
};

/// What is left of the change of one module.
struct ModuleKept {
  std::string path;         ///< "model.layers.20.self_attn.q_proj"
  std::int64_t layer = -1;  ///< -1 outside the blocks
  std::string projection;   ///< "self_attn.q_proj"
  DeltaKept fused = {};
  DeltaKept requantized = {};
};

/// All that `adapter fidelity` finds.
struct Report {
  std::string adapter;
  std::string adapter_kind;  ///< "LoRA, rank 8, scale 20, 112 modules"
  std::string model;
  std::string model_kind;               ///< "qwen3, 36 layers, affine 4-bit group 64"
  std::string fused_type;               ///< "bfloat16"
  std::string requantized_type;         ///< "4-bit group 64"
  std::string runtime;                  ///< the backend's description
  std::string data;                     ///< file; empty: no text was run
  std::int64_t sequences = 0;           ///< posts that were run
  std::int64_t sequences_of = 0;        ///< posts that there are
  std::vector<ReferenceRow> reference;  ///< by position
  std::vector<WayResult> ways;
  std::vector<ModuleKept> modules;
  double seconds = 0.0;

  double reference_perplexity() const;
  /// Share of positions whose margin is below `margin`.
  double share_below(double margin) const;
  const WayResult* find(Way way) const;
};

WayNumbers numbers_of(const WayResult& result, const std::vector<ReferenceRow>& reference);
/// Of all modules together.
DeltaKept total_fused(const Report& report);
DeltaKept total_requantized(const Report& report);

}  // namespace bobby::fidelity
