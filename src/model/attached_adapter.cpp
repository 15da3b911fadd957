#include "model/attached_adapter.h"

#include <array>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "base/sha256.h"
#include "lora/transposed.h"
#include "tensor/formats/affine.h"

namespace bobby {

namespace {

constexpr std::string_view kEmbedding = "model.embed_tokens";

std::string shape_text(std::int64_t rows, std::int64_t cols) {
  return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
}

/// What is wrong with `module` for a weight of this shape, if anything.
void check_module(const AdapterModule& module, const Weight& weight, bool dora,
                  std::vector<Error>& problems) {
  const bool embedding = module.path == kEmbedding;
  const std::int64_t in_features = embedding ? weight.rows() : weight.cols();
  const std::int64_t out_features = embedding ? weight.cols() : weight.rows();
  if (module.in_features != in_features || module.out_features != out_features)
    problems.push_back({.code = ErrorCode::kMismatch,
                        .where = module.path,
                        .problem = "is adapted for another shape (in_features, out_features)",
                        .expected = shape_text(in_features, out_features),
                        .found = shape_text(module.in_features, module.out_features)});
  if (dora && embedding)
    problems.push_back({.code = ErrorCode::kUnsupported,
                        .where = module.path,
                        .problem = "is an embedding, for which DoRA is not implemented"});
}

void check(const Adapter& adapter, const ModelConfig& config, std::span<const Module> modules,
           std::vector<Error>& problems) {
  if (!adapter.may_adapt(config.model_type))
    problems.push_back({.code = ErrorCode::kMismatch,
                        .where = "key 'general.architecture'",
                        .problem = "the adapter was made for another architecture",
                        .expected = config.model_type,
                        .found = adapter.architecture});
  // In mlx-lm a tied model has no lm_head of its own; in PEFT it has.
  const bool has_head = !config.tie_word_embeddings || adapter.source == Adapter::Source::kPeft;
  std::map<std::string_view, const AdapterModule*> adapted;
  for (const AdapterModule& module : adapter.modules) adapted[module.path] = &module;
  for (const Module& module : modules) {
    const bool exists = has_head || module.path != "lm_head";
    const bool named = exists && adapter.targets(module.path, config.num_hidden_layers);
    const auto it = adapted.find(module.path);
    if (it == adapted.end() && named)
      problems.push_back({.code = ErrorCode::kMismatch,
                          .where = module.path,
                          .problem = "has no tensors, although adapter_config.json names it"});
    if (it == adapted.end() || !exists) continue;
    if (!named)
      problems.push_back({.code = ErrorCode::kMismatch,
                          .where = module.path,
                          .problem = "has tensors, although adapter_config.json does not name it"});
    check_module(*it->second, *module.weight, adapter.dora, problems);
    adapted.erase(it);
  }
  for (const auto& [path, module] : adapted)
    problems.push_back({.code = ErrorCode::kMismatch,
                        .where = std::string(path),
                        .problem = "is adapted, but the model has no such module",
                        .found = shape_text(module->in_features, module->out_features),
                        .hint = "the adapter was made for another base"});
}

/// DoRA: magnitude / |row of (W + scale * BA)|, [out_features].
Result<std::vector<float>> output_multiplier(const AdapterModule& module, const WeightView& weight,
                                             float scale) {
  const std::size_t rank = static_cast<std::size_t>(module.rank);
  const std::size_t columns = static_cast<std::size_t>(module.in_features);
  std::vector<float> multiplier(static_cast<std::size_t>(module.out_features));
  std::vector<float> row(columns);
  for (std::size_t out = 0; out < multiplier.size(); ++out) {
    dequantize_row(weight, static_cast<std::int64_t>(out), row.data());
    for (std::size_t r = 0; r < rank; ++r) {
      const float factor = scale * module.b[out * rank + r];
      const float* a = module.a.data() + r * columns;
      for (std::size_t col = 0; col < columns; ++col) row[col] += factor * a[col];
    }
    double squares = 0.0;
    for (const float value : row) squares += static_cast<double>(value) * value;
    multiplier[out] = static_cast<float>(module.magnitude[out] / std::sqrt(squares));
    if (!std::isfinite(multiplier[out]))
      return fail({.code = ErrorCode::kNumeric,
                   .where = module.path,
                   .problem = "row " + std::to_string(out) +
                              " of the adapted weight has the norm " +
                              std::to_string(std::sqrt(squares)) + ", which DoRA divides by"});
  }
  return multiplier;
}

std::string digest_of(const Adapter& adapter) {
  Sha256 hash;
  const auto add = [&](const auto& value) { hash.update(std::as_bytes(std::span(value))); };
  add(adapter.sha256);
  for (const AdapterModule& module : adapter.modules) {
    add(module.path);
    add(std::array{module.scale});
  }
  return hash.hex_digest();
}

}  // namespace

const std::string& adapter_digest(const AttachedAdapter& adapter) {
  return adapter.digest();
}

Result<std::shared_ptr<const AttachedAdapter>> AttachedAdapter::make(
    std::shared_ptr<const Adapter> adapter, float factor, const ModelConfig& config,
    std::span<const Module> modules, Backend& backend) {
  std::vector<Error> problems;
  check(*adapter, config, modules, problems);
  if (!problems.empty()) return fail(join_errors(std::move(problems)).in(adapter->folder.string()));

  std::shared_ptr<AttachedAdapter> attached(new AttachedAdapter);
  attached->adapter_ = adapter;
  attached->digest_ = digest_of(*adapter);
  attached->factor_ = factor;
  attached->modules_ = modules.data();
  attached->parts_.resize(modules.size());
  std::map<std::string_view, int> slots;
  for (std::size_t i = 0; i < modules.size(); ++i) slots[modules[i].path] = static_cast<int>(i);
  for (const AdapterModule& module : adapter->modules) {
    const int slot = slots.at(module.path);
    const Weight& weight = *modules[static_cast<std::size_t>(slot)].weight;
    BOBBY_TRY(std::vector<float> ordered, unpaired_b(*adapter, module, config.head_dim));
    const float* b = ordered.empty() ? module.b.data()
                                     : attached->computed_.emplace_back(std::move(ordered)).data();
    BOBBY_CHECK(attached->upload(module, b, slot, weight, backend));
    // mlx-lm adapts the embedding as one thing, in both its uses; PEFT only the look-up.
    if (module.path == kEmbedding && config.tie_word_embeddings &&
        adapter->source == Adapter::Source::kMlx)
      BOBBY_CHECK(attached->upload_tied_head(module, slots.at("lm_head"), backend));
  }
  return std::shared_ptr<const AttachedAdapter>(std::move(attached));
}

Result<void> AttachedAdapter::upload(const AdapterModule& module, const float* b, int slot,
                                     const Weight& weight, Backend& backend) {
  LoraView view{.name = module.path,
                .rank = module.rank,
                .in_features = module.in_features,
                .out_features = module.out_features,
                .a = module.a.data(),
                .b = b};
  if (!module.magnitude.empty()) {
    BOBBY_TRY(auto multiplier, output_multiplier(module, weight.view(), module.scale * factor_));
    view.output_multiplier = computed_.emplace_back(std::move(multiplier)).data();
  }
  Part& part = parts_[static_cast<std::size_t>(slot)];
  part.scale = module.scale;
  BOBBY_TRY(part.lora, backend.load_lora(view));
  return {};
}

/// The embedding's row of token t gains scale * B A[:, t]; as a head, logit t gains that times x.
Result<void> AttachedAdapter::upload_tied_head(const AdapterModule& module, int slot,
                                               Backend& backend) {
  const std::int64_t vocab_size = module.in_features;
  const std::int64_t hidden_size = module.out_features;
  const auto& a = computed_.emplace_back(transposed(module.b, hidden_size, module.rank));
  const auto& b = computed_.emplace_back(transposed(module.a, module.rank, vocab_size));
  Part& part = parts_[static_cast<std::size_t>(slot)];
  part.scale = module.scale;
  BOBBY_TRY(part.lora, backend.load_lora({.name = "lm_head",
                                          .rank = module.rank,
                                          .in_features = hidden_size,
                                          .out_features = vocab_size,
                                          .a = a.data(),
                                          .b = b.data()}));
  return {};
}

}  // namespace bobby
