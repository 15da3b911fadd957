#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "base/result.h"
#include "lora/adapter.h"
#include "model/config.h"

namespace bobby {

/// An adapter bound to a model and uploaded to its backend. Base weights are not touched: attach
/// and drop freely between two steps. Must not outlive its model.
class AttachedAdapter;

/// Hex digest of all that an attached adapter adds: its tensors, and its modules' scales. Equal for
/// equal adapters, whatever they are called.
const std::string& adapter_digest(const AttachedAdapter& adapter);

/// An adapter in use, with a factor on each module's own scale (1 = the folder's).
struct AdapterUse {
  std::shared_ptr<const AttachedAdapter> adapter;
  float factor = 1.0f;
};

/// Which rows of a sequence's step want logits.
enum class LogitsRows : std::uint8_t { kNone, kLast, kAll };

/// One sequence's part of a step: its next tokens, which may be a chunk of a prompt or one token.
struct StepSequence {
  std::span<const std::int32_t> tokens;
  std::int64_t position = 0;             ///< tokens of this sequence that the cache already holds
  std::span<const std::int32_t> blocks;  ///< KV blocks, covering position + tokens.size() tokens
  std::span<const AdapterUse> adapters;  ///< summed; empty: the base alone
  LogitsRows logits = LogitsRows::kLast;
};

/// A transformer with its weights on a backend: the forward, and nothing about sampling or text.
class Model {
 public:
  virtual ~Model() = default;

  /// Loads a model folder (config.json, model*.safetensors) for `backend`, which must outlive the
  /// model. Weights stay in the mapped file where the backend can use them there. All missing,
  /// unknown and wrong-shaped tensors are reported in one Error.
  static Result<std::unique_ptr<Model>> load(const std::filesystem::path& folder, Backend& backend);

  /// What config.json says, and where the model runs.
  virtual const ModelConfig& config() const = 0;
  virtual Backend& backend() const = 0;
  /// Bytes of all weights, and bytes that decoding one token reads (the embedding's rows aside).
  virtual std::size_t weight_bytes() const = 0;
  virtual std::size_t decode_bytes() const = 0;

  /// Checks `adapter` against this model (every module, every shape; all problems in one Error) and
  /// uploads it. For DoRA, `factor` is fixed here and AdapterUse::factor must be the same.
  virtual Result<std::shared_ptr<const AttachedAdapter>> attach(
      std::shared_ptr<const Adapter> adapter, float factor = 1.0f) = 0;

  /// KvShape for `blocks` blocks of this model.
  virtual KvShape kv_shape(std::int64_t blocks, KvFormat format = KvFormat::kF16) const = 0;

  /// Runs every layer over all sequences' tokens together and returns logits [rows, vocab_size] for
  /// the rows asked for, in order, in the backend's memory, valid until the next step. Where there
  /// are any, the step may still be under way on a device, and what goes wrong there is reported by
  /// what reads them: the backend's copy_out(), top_logits() or sync().
  /// kLimit: position + tokens past the context; kUsage: a token id outside the vocabulary.
  virtual Result<Activation> step(std::span<const StepSequence> sequences, KvStorage& kv) = 0;
};

}  // namespace bobby
