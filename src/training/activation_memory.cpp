#include "training/activation_memory.h"

namespace bobby {

/// Gives out memory of a batch's rows, one piece after the other; without a base it only counts.
class ActivationMemory::Layout {
 public:
  Layout(float* base, std::int64_t rows) : base_(base), rows_(rows) {}

  Activation take(std::int64_t cols) {
    constexpr std::int64_t kAlignment = 16;  // numbers: a line of cache
    const Activation taken = {base_ ? base_ + used_ : nullptr, rows_, cols};
    used_ += (rows_ * cols + kAlignment - 1) / kAlignment * kAlignment;
    return taken;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(used_) * sizeof(float); }

 private:
  float* base_;
  std::int64_t rows_;
  std::int64_t used_ = 0;
};

/// What blocks [first, last) may keep, input excepted.
KeptBlock ActivationMemory::lay_out_block(Layout& layout, std::size_t first,
                                          std::size_t last) const {
  const ModelConfig& config = weights_.config;
  const std::int64_t q_size = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_size = config.num_key_value_heads * config.head_dim;
  KeptBlock kept;
  kept.q_projected = layout.take(q_size);
  kept.k_projected = layout.take(kv_size);
  kept.v = layout.take(kv_size);
  kept.attention = layout.take(q_size);
  kept.x_middle = layout.take(config.hidden_size);
  kept.gate = layout.take(config.intermediate_size);
  kept.up = layout.take(config.intermediate_size);
  for (std::size_t i = 0; i < kBlockProjections; ++i)
    for (std::size_t block = first; block < last && !kept.low[i].cols; ++block) {
      const TrainingLora* lora = pairs_.find(block, static_cast<BlockProjection>(i));
      if (!lora) continue;
      kept.low[i] = layout.take(lora->a.rows);
      if (lora->multiplier.cols) kept.unscaled[i] = layout.take(lora->multiplier.cols);
    }
  return kept;
}

PassingMemory ActivationMemory::lay_out_passing(Layout& layout, bool backward) const {
  const ModelConfig& config = weights_.config;
  const std::int64_t q_size = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_size = config.num_key_value_heads * config.head_dim;
  PassingMemory passing;
  passing.hidden = layout.take(config.hidden_size);
  passing.product = layout.take(config.intermediate_size);
  passing.q = layout.take(q_size);
  passing.k = layout.take(kv_size);
  if (!backward) return passing;
  passing.x_gradient = layout.take(config.hidden_size);
  passing.hidden_gradient = layout.take(config.hidden_size);
  passing.gate_gradient = layout.take(config.intermediate_size);
  passing.up_gradient = layout.take(config.intermediate_size);
  passing.attention_gradient = layout.take(q_size);
  passing.q_gradient = layout.take(q_size);
  passing.k_gradient = layout.take(kv_size);
  passing.v_gradient = layout.take(kv_size);
  return passing;
}

ActivationMemory::Places ActivationMemory::lay_out(Layout& layout, Keep keep) const {
  Places places;
  const std::int64_t hidden_size = weights_.config.hidden_size;
  places.passing = lay_out_passing(layout, keep != Keep::kNothing);
  places.last = layout.take(hidden_size);
  const KeptBlock shared = keep == Keep::kAll ? KeptBlock() : lay_out_block(layout, begin_, end_);
  for (std::size_t block = begin_; block < end_; ++block) {
    KeptBlock kept = keep == Keep::kAll ? lay_out_block(layout, block, block + 1) : shared;
    kept.x = keep == Keep::kNothing ? places.last : layout.take(hidden_size);
    places.kept.push_back(kept);
  }
  return places;
}

std::size_t ActivationMemory::bytes(std::int64_t rows, Keep keep) const {
  Layout counting(nullptr, rows);
  lay_out(counting, keep);
  return counting.bytes();
}

Result<void> ActivationMemory::prepare(std::int64_t rows, Keep keep) {
  const std::size_t needed = bytes(rows, keep);
  if (!buffer_ || buffer_->size() < needed) {
    buffer_.reset();
    BOBBY_TRY(buffer_, backend_.allocate(needed));
  }
  Layout layout(static_cast<float*>(buffer_->data()), rows);
  places_ = lay_out(layout, keep);
  return {};
}

}  // namespace bobby
