#include "model/step.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "model/attached_adapter.h"

namespace bobby {

namespace {

constexpr std::int64_t kFloatsPerCacheLine = 16;

bool same_adapters(std::span<const AdapterUse> left, std::span<const AdapterUse> right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const AdapterUse& a, const AdapterUse& b) {
                      return a.adapter == b.adapter && a.factor == b.factor;
                    });
}

/// Hands out activations from one stretch of memory, each at a cache line. Without memory it only
/// counts.
struct Carver {
  float* base = nullptr;
  std::int64_t used = 0;

  Activation take(std::int64_t rows, std::int64_t cols) {
    const Activation activation{base ? base + used : nullptr, rows, cols};
    used += (rows * cols + kFloatsPerCacheLine - 1) / kFloatsPerCacheLine * kFloatsPerCacheLine;
    return activation;
  }
};

/// Lays out a step's activations over `base` and returns how many floats they take.
std::int64_t lay_out(const ModelConfig& config, std::int64_t rows, std::int64_t logits_rows,
                     float* base, Step& step) {
  Carver carver{base};
  step.x = carver.take(rows, config.hidden_size);
  step.hidden = carver.take(rows, config.hidden_size);
  step.last = carver.take(logits_rows, config.hidden_size);
  // The attention block is done with its memory before the MLP starts.
  Carver mlp = carver;
  step.q = carver.take(rows, config.num_attention_heads * config.head_dim);
  step.k = carver.take(rows, config.num_key_value_heads * config.head_dim);
  step.v = carver.take(rows, config.num_key_value_heads * config.head_dim);
  step.attention = carver.take(rows, config.num_attention_heads * config.head_dim);
  step.gate = mlp.take(rows, config.intermediate_size);
  step.up = mlp.take(rows, config.intermediate_size);
  return std::max(carver.used, mlp.used);
}

/// Few rows grow in powers of two, so that a batch that gains one row at a time seldom allocates;
/// long prompt chunks take what they need.
std::int64_t row_capacity(std::int64_t rows) {
  return rows <= 64 ? static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(rows)))
                    : rows;
}

Result<void> grow(Backend& backend, std::unique_ptr<Buffer>& buffer, std::int64_t floats) {
  const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
  if (buffer && buffer->size() >= bytes) return {};
  buffer.reset();  // never hold the old and the new together
  BOBBY_TRY(buffer, backend.allocate(bytes));
  return {};
}

}  // namespace

void LoraTable::fill(int slots, std::span<const Rows> rows, std::span<const Rows> head_rows) {
  entries_.clear();
  begins_.clear();
  const auto plain = [](const Rows& group) { return group.adapters.empty(); };
  if (std::all_of(rows.begin(), rows.end(), plain)) return;
  for (int slot = 0; slot < slots; ++slot) {
    begins_.push_back(entries_.size());
    append(slot, slot + 1 < slots ? rows : head_rows);
  }
  begins_.push_back(entries_.size());
}

void LoraTable::append(int slot, std::span<const Rows> rows) {
  for (std::size_t i = 0; i < rows.size();) {
    const Rows& first = rows[i];
    std::int64_t count = 0;
    for (; i < rows.size() && same_adapters(first.adapters, rows[i].adapters); ++i)
      count += rows[i].count;
    if (count == 0) continue;
    for (const AdapterUse& use : first.adapters)
      if (const AttachedAdapter::Part* part = use.adapter->part(slot))
        entries_.push_back({first.begin, count, part->lora.get(), part->scale * use.factor});
  }
}

std::span<const LoraRows> LoraTable::operator[](int slot) const {
  if (begins_.empty()) return {};
  const std::size_t index = static_cast<std::size_t>(slot);
  return std::span(entries_).subspan(begins_[index], begins_[index + 1] - begins_[index]);
}

void Step::linear(Activation input, std::initializer_list<Output> outputs) const {
  std::array<Projection, 3> projections;
  assert(outputs.size() <= projections.size());
  std::size_t count = 0;
  for (const Output& output : outputs)
    projections[count++] = {.weight = output.linear.weight,
                            .bias = output.linear.bias,
                            .lora = lora[output.linear.slot],
                            .out = output.out};
  backend.linear(input, std::span(projections).first(count));
}

Result<void> Workspace::prepare(const ModelConfig& config, Step& step) {
  const std::int64_t rows = static_cast<std::int64_t>(step.tokens.size());
  const std::int64_t logits_rows = static_cast<std::int64_t>(step.logits_rows.size());
  const std::int64_t capacity = row_capacity(rows);
  const std::int64_t logits_capacity = logits_rows == 0 ? 0 : row_capacity(logits_rows);
  BOBBY_CHECK(grow(step.backend, layers_,
                   lay_out(config, capacity, std::min(capacity, logits_capacity), nullptr, step)));
  lay_out(config, rows, logits_rows, static_cast<float*>(layers_->data()), step);
  step.logits = {nullptr, logits_rows, config.vocab_size};
  if (logits_rows == 0) return {};
  BOBBY_CHECK(grow(step.backend, logits_, logits_capacity * config.vocab_size));
  step.logits.data = static_cast<float*>(logits_->data());
  return {};
}

}  // namespace bobby
