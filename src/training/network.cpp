#include "training/network.h"

#include <optional>
#include <utility>

#include "training/activation_memory.h"
#include "training/block.h"
#include "training/input_cache.h"
#include "training/network_weights.h"
#include "training/trained_pairs.h"

namespace bobby {

namespace {

using Keep = ActivationMemory::Keep;

Error usage(std::string problem, std::string expected = {}, std::string found = {}) {
  return {.code = ErrorCode::kUsage,
          .where = "batch",
          .problem = std::move(problem),
          .expected = std::move(expected),
          .found = std::move(found)};
}

class FrozenBaseNetwork final : public Network {
 public:
  static Result<std::unique_ptr<Network>> load(const std::filesystem::path& folder,
                                               Backend& backend, const NetworkOptions& options) {
    TrainingOps* ops = backend.training();
    if (!ops)
      return fail({.code = ErrorCode::kUnsupported,
                   .where = std::string(backend.name()),
                   .problem = "this backend cannot train",
                   .hint = "--device cpu and cuda can"});
    BOBBY_TRY(auto weights, NetworkWeights::load(folder, backend));
    BOBBY_TRY(auto pairs, TrainedPairs::make(*weights, options.lora, backend, *ops));
    return std::unique_ptr<Network>(
        new FrozenBaseNetwork(std::move(weights), std::move(pairs), backend, options));
  }

  const ModelConfig& config() const override { return weights_->config; }
  std::vector<TrainableTensor>& tensors() override { return pairs_->tensors(); }
  Result<void> upload() override { return pairs_->upload(); }
  void zero_gradients() override { pairs_->zero_gradients(); }
  Result<void> download_gradients() override { return pairs_->download_gradients(); }

  Result<RowsLoss> loss(const TrainingRows& rows) override {
    BOBBY_CHECK(check(rows));
    pairs_->set_dropout(0.0f, 0, 0);
    BOBBY_CHECK(forward(rows, Keep::kNothing));
    return head(rows, false);
  }

  Result<RowsLoss> gradients(const TrainingRows& rows, std::uint64_t step) override {
    BOBBY_CHECK(check(rows));
    pairs_->set_dropout(options_.lora.dropout, options_.dropout_seed, step);
    BOBBY_CHECK(forward(rows, options_.grad_checkpoint ? Keep::kInputs : Keep::kAll));
    BOBBY_TRY(RowsLoss loss, head(rows, true));
    const std::size_t first = pairs_->first_block();
    for (std::size_t block = weights_->blocks.size(); block-- > first;) {
      const BlockRun run = block_run(trained_, rows.sequences, block);
      if (options_.grad_checkpoint) run.forward_to_keep();
      run.backward(block > first);
    }
    return loss;
  }

  NetworkMemory memory(std::int64_t rows, std::int64_t longest) const override {
    const Keep keep = options_.grad_checkpoint ? Keep::kInputs : Keep::kAll;
    return {.weights = weights_->bytes(),
            .trained = pairs_->bytes(),
            .activations = trained_.bytes(rows, keep) +
                           (pairs_->first_block() > 0 ? frozen_.bytes(rows, Keep::kNothing) : 0) +
                           ops_.scratch_bytes(rows, longest, *weights_->lm_head.weight),
            .input_cache = pairs_->first_block() > 0 ? options_.input_cache_bytes : 0};
  }

 private:
  FrozenBaseNetwork(std::unique_ptr<NetworkWeights> weights, std::unique_ptr<TrainedPairs> pairs,
                    Backend& backend, const NetworkOptions& options)
      : options_(options),
        ops_(*backend.training()),
        weights_(std::move(weights)),
        pairs_(std::move(pairs)),
        frozen_(*weights_, *pairs_, backend, 0, pairs_->first_block()),
        trained_(*weights_, *pairs_, backend, pairs_->first_block(), weights_->blocks.size()),
        cache_(options.input_cache_bytes) {}

  Result<void> check(const TrainingRows& rows) const;
  Result<void> forward(const TrainingRows& rows, Keep keep);
  Result<void> frozen_forward(const TrainingRows& rows);
  Result<RowsLoss> head(const TrainingRows& rows, bool backward);

  BlockRun block_run(const ActivationMemory& memory, std::span<const TrainingSequence> sequences,
                     std::size_t block) const {
    return {.ops = ops_,
            .weights = *weights_,
            .pairs = *pairs_,
            .memory = memory,
            .sequences = sequences,
            .block = block};
  }

  NetworkOptions options_;
  TrainingOps& ops_;
  std::unique_ptr<NetworkWeights> weights_;
  std::unique_ptr<TrainedPairs> pairs_;
  ActivationMemory frozen_;   ///< of the blocks below the first trained one
  ActivationMemory trained_;  ///< of the others
  InputCache cache_;
};

Result<void> FrozenBaseNetwork::check(const TrainingRows& rows) const {
  const std::size_t count = rows.inputs.size();
  if (count == 0 || rows.targets.size() != count || rows.weights.size() != count)
    return fail(usage("inputs, targets and weights are not of one length",
                      std::to_string(count) + " of each, at least one",
                      std::to_string(rows.targets.size()) + " targets, " +
                          std::to_string(rows.weights.size()) + " weights"));
  std::int64_t next = 0;
  for (const TrainingSequence& sequence : rows.sequences) {
    if (sequence.begin != next || sequence.count < 1)
      return fail(usage(
          "the sequences do not cover the rows in order",
          "a sequence from row " + std::to_string(next),
          std::to_string(sequence.count) + " rows from row " + std::to_string(sequence.begin)));
    if (sequence.count > weights_->config.max_position_embeddings)
      return fail({.code = ErrorCode::kLimit,
                   .where = "record " + std::to_string(sequence.record),
                   .problem = "is longer than the model's context",
                   .expected = std::to_string(weights_->config.max_position_embeddings) + " tokens",
                   .found = std::to_string(sequence.count)});
    next += sequence.count;
  }
  if (next != static_cast<std::int64_t>(count))
    return fail(usage("the sequences do not cover the rows", std::to_string(count) + " rows",
                      std::to_string(next)));
  for (const std::vector<std::int32_t>* tokens : {&rows.inputs, &rows.targets})
    for (const std::int32_t token : *tokens)
      if (token < 0 || token >= weights_->config.vocab_size)
        return fail(usage("a token id is outside the vocabulary",
                          "0 to " + std::to_string(weights_->config.vocab_size - 1),
                          std::to_string(token)));
  return {};
}

/// The input of the first trained block, by sequence from the cache, or by the frozen blocks over
/// the sequences that it does not hold.
Result<void> FrozenBaseNetwork::frozen_forward(const TrainingRows& rows) {
  const std::size_t first = pairs_->first_block();
  const Activation& x = trained_.x(first);
  const std::span<const std::int32_t> inputs = rows.inputs;
  std::vector<std::int32_t> tokens;
  std::vector<TrainingSequence> missing;  // by their place among `tokens`
  std::vector<TrainingSequence> wanted;   // the same by their place in the batch
  for (const TrainingSequence& sequence : rows.sequences) {
    const auto own = inputs.subspan(static_cast<std::size_t>(sequence.begin),
                                    static_cast<std::size_t>(sequence.count));
    if (const std::span<const float> known = cache_.find(sequence.record, own); !known.empty()) {
      BOBBY_CHECK(ops_.copy_in(known, x.slice(sequence.begin, sequence.count)));
      continue;
    }
    missing.push_back({static_cast<std::int64_t>(tokens.size()), sequence.count, sequence.record});
    wanted.push_back(sequence);
    tokens.insert(tokens.end(), own.begin(), own.end());
  }
  if (missing.empty()) return {};

  BOBBY_CHECK(frozen_.prepare(static_cast<std::int64_t>(tokens.size()), Keep::kNothing));
  ops_.embed(*weights_->embed_tokens.weight, tokens, frozen_.x(0));
  for (std::size_t block = 0; block < first; ++block) block_run(frozen_, missing, block).forward();
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const Activation made = frozen_.x(first).slice(missing[i].begin, missing[i].count);
    ops_.copy(made, x.slice(wanted[i].begin, wanted[i].count));
    const auto own = std::span<const std::int32_t>(tokens).subspan(
        static_cast<std::size_t>(missing[i].begin), static_cast<std::size_t>(missing[i].count));
    const std::span<float> room =
        cache_.add(missing[i].record, own, static_cast<std::size_t>(made.rows * made.cols));
    if (!room.empty()) BOBBY_CHECK(ops_.copy_out(made, room));
  }
  return {};
}

Result<void> FrozenBaseNetwork::forward(const TrainingRows& rows, Keep keep) {
  const std::size_t first = pairs_->first_block();
  BOBBY_CHECK(trained_.prepare(static_cast<std::int64_t>(rows.inputs.size()), keep));
  if (first == 0)
    ops_.embed(*weights_->embed_tokens.weight, rows.inputs, trained_.x(0));
  else
    BOBBY_CHECK(frozen_forward(rows));
  for (std::size_t block = first; block < weights_->blocks.size(); ++block)
    block_run(trained_, rows.sequences, block).forward();
  return {};
}

/// The last norm, the head and the loss; with `backward`, x_gradient becomes that of the last
/// block's output.
Result<RowsLoss> FrozenBaseNetwork::head(const TrainingRows& rows, bool backward) {
  const Activation& x = trained_.x(weights_->blocks.size());
  const PassingMemory& passing = trained_.passing();
  const float eps = weights_->config.rms_norm_eps;
  ops_.rms_norm(x, *weights_->norm, eps, passing.hidden);
  std::vector<double> row_loss(rows.inputs.size());
  BOBBY_CHECK(
      ops_.cross_entropy({.x = passing.hidden,
                          .head = weights_->lm_head.weight,
                          .targets = rows.targets,
                          .weights = rows.weights,
                          .row_loss = row_loss,
                          .x_gradient = backward ? passing.hidden_gradient : Activation{}}));
  if (backward) {
    ops_.zero(passing.x_gradient);
    ops_.rms_norm_backward(x, *weights_->norm, eps, passing.hidden_gradient, passing.x_gradient);
  }
  RowsLoss loss;
  for (const TrainingSequence& sequence : rows.sequences) {
    double sum = 0.0;
    for (std::int64_t row = sequence.begin; row < sequence.begin + sequence.count; ++row) {
      const auto index = static_cast<std::size_t>(row);
      if (rows.weights[index] != 0.0f)
        sum += static_cast<double>(rows.weights[index]) * row_loss[index];
    }
    loss.sequence_loss.push_back(sum);
  }
  return loss;
}

}  // namespace

Result<std::unique_ptr<Network>> Network::load(const std::filesystem::path& folder,
                                               Backend& backend, const NetworkOptions& options) {
  return FrozenBaseNetwork::load(folder, backend, options);
}

}  // namespace bobby
