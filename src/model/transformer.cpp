#include "model/transformer.h"

#include <string>
#include <utility>

#include "base/safetensors_error.h"
#include "model/attached_adapter.h"

namespace bobby {

namespace {

Error usage(std::string problem, std::string expected = {}, std::string found = {}) {
  return {.code = ErrorCode::kUsage,
          .where = "step",
          .problem = std::move(problem),
          .expected = std::move(expected),
          .found = std::move(found)};
}

}  // namespace

Transformer::Transformer(ModelConfig config, safetensors::Checkpoint checkpoint, Backend& backend)
    : config_(std::move(config)), checkpoint_(std::move(checkpoint)), backend_(backend) {}

Result<std::unique_ptr<Model>> Transformer::load(const std::filesystem::path& folder,
                                                 Backend& backend) {
  BOBBY_TRY(ModelConfig config, ModelConfig::load(folder));
  auto checkpoint = safetensors::Checkpoint::open(folder);
  if (!checkpoint) return fail(to_error(checkpoint.error()));

  std::unique_ptr<Transformer> model(
      new Transformer(std::move(config), std::move(*checkpoint), backend));
  WeightLoader weights(model->checkpoint_, model->config_, backend);
  // config.json has been checked: there are these three, of which two are one.
  model->forward_ = model->config_.model_type == "qwen3" ? make_qwen3(model->config_, weights)
                                                         : make_llama(model->config_, weights);
  auto loaded = weights.finish();
  if (!loaded) return fail(std::move(loaded).error().in(folder.string()));
  model->weights_ = std::move(*loaded);
  return std::unique_ptr<Model>(std::move(model));
}

std::size_t Transformer::weight_bytes() const {
  std::size_t bytes = 0;
  for (const auto& weight : weights_.weights) bytes += weight->view().total_bytes();
  return bytes;
}

std::size_t Transformer::decode_bytes() const {
  // A tied embedding is read whole, as the head; an untied one by the row.
  const std::size_t embedding = weights_.modules.front().weight->view().total_bytes();
  return weight_bytes() - (config_.tie_word_embeddings ? 0 : embedding);
}

Result<std::shared_ptr<const AttachedAdapter>> Transformer::attach(
    std::shared_ptr<const Adapter> adapter, float factor) {
  return AttachedAdapter::make(std::move(adapter), factor, config_, weights_.modules, backend_);
}

KvShape Transformer::kv_shape(std::int64_t blocks, KvFormat format) const {
  return {.layers = config_.num_hidden_layers,
          .num_key_value_heads = config_.num_key_value_heads,
          .head_dim = config_.head_dim,
          .blocks = blocks,
          .format = format};
}

Result<void> Transformer::check(const StepSequence& sequence, const KvShape& kv) const {
  BOBBY_CHECK(check_tokens(sequence));
  const std::int64_t count = static_cast<std::int64_t>(sequence.tokens.size());
  if (sequence.position > config_.max_position_embeddings - count)
    return fail(
        {.code = ErrorCode::kLimit,
         .where = "step",
         .problem = "the sequence is longer than the model's context",
         .expected = "at most " + std::to_string(config_.max_position_embeddings) + " tokens",
         .found = std::to_string(sequence.position) + " and " + std::to_string(count),
         .hint = "shorten the prompt"});
  const std::int64_t length = sequence.position + count;
  const std::int64_t needed = (length + kv.block_tokens - 1) / kv.block_tokens;
  if (static_cast<std::int64_t>(sequence.blocks.size()) < needed)
    return fail(usage("the sequence has too few KV blocks", std::to_string(needed),
                      std::to_string(sequence.blocks.size())));
  for (const std::int32_t block : sequence.blocks.first(static_cast<std::size_t>(needed)))
    if (block < 0 || block >= kv.blocks)
      return fail(usage("a KV block is outside the pool", "0 to " + std::to_string(kv.blocks - 1),
                        std::to_string(block)));
  return check_adapters(sequence);
}

Result<void> Transformer::check_tokens(const StepSequence& sequence) const {
  if (sequence.tokens.empty()) return fail(usage("a sequence has no tokens"));
  if (sequence.position < 0)
    return fail(usage("a position is negative", {}, std::to_string(sequence.position)));
  for (const std::int32_t token : sequence.tokens)
    if (token < 0 || token >= config_.vocab_size)
      return fail(usage("a token id is outside the vocabulary",
                        "0 to " + std::to_string(config_.vocab_size - 1), std::to_string(token)));
  return {};
}

Result<void> Transformer::check_adapters(const StepSequence& sequence) const {
  for (const AdapterUse& use : sequence.adapters) {
    if (!use.adapter || !use.adapter->belongs_to(weights_.modules))
      return fail(usage("an adapter is not attached to this model"));
    if (use.adapter->adapter().dora && use.factor != use.adapter->factor())
      return fail(usage("a DoRA adapter was attached with another factor",
                        std::to_string(use.adapter->factor()), std::to_string(use.factor)));
  }
  return {};
}

void Transformer::gather(std::span<const StepSequence> sequences) {
  tokens_.clear();
  rows_.clear();
  logits_rows_.clear();
  lora_rows_.clear();
  lora_head_rows_.clear();
  for (const StepSequence& sequence : sequences) {
    const std::int64_t begin = static_cast<std::int64_t>(tokens_.size());
    const std::int64_t count = static_cast<std::int64_t>(sequence.tokens.size());
    const std::int64_t wanted = sequence.logits == LogitsRows::kNone  ? 0
                                : sequence.logits == LogitsRows::kAll ? count
                                                                      : 1;
    tokens_.insert(tokens_.end(), sequence.tokens.begin(), sequence.tokens.end());
    rows_.push_back({begin, count, sequence.position, sequence.blocks});
    lora_rows_.push_back({begin, count, sequence.adapters});
    lora_head_rows_.push_back(
        {static_cast<std::int64_t>(logits_rows_.size()), wanted, sequence.adapters});
    for (std::int64_t row = begin + count - wanted; row < begin + count; ++row)
      logits_rows_.push_back(static_cast<std::int32_t>(row));
  }
}

Result<Activation> Transformer::step(std::span<const StepSequence> sequences, KvStorage& kv) {
  if (sequences.empty()) return fail(usage("there are no sequences"));
  const KvShape expected = kv_shape(kv.shape().blocks, kv.shape().format);
  if (kv.shape().layers != expected.layers || kv.shape().head_dim != expected.head_dim ||
      kv.shape().num_key_value_heads != expected.num_key_value_heads)
    return fail(usage("the KV storage is of another model"));
  for (const StepSequence& sequence : sequences) BOBBY_CHECK(check(sequence, kv.shape()));

  gather(sequences);
  lora_.fill(static_cast<int>(weights_.modules.size()), lora_rows_, lora_head_rows_);
  Step step{.backend = backend_,
            .kv = kv,
            .lora = lora_,
            .tokens = tokens_,
            .sequences = rows_,
            .logits_rows = logits_rows_};
  BOBBY_CHECK(workspace_.prepare(config_, step));
  backend_.begin_step(rows_);
  forward_->run(step);
  if (logits_rows_.empty()) BOBBY_CHECK(backend_.sync());
  return step.logits;
}

}  // namespace bobby
