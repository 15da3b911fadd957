#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "backends/training_ops.h"
#include "base/result.h"
#include "model/config.h"

namespace bobby {

/// A batch: tokens of one or more sequences, one after the other. Attention stays within a
/// sequence.
struct TrainingRows {
  std::vector<std::int32_t> inputs;   ///< [rows]
  std::vector<std::int32_t> targets;  ///< [rows]
  /// [rows]; the loss is the sum of weights[r] * cross_entropy(r). 0: the row is not trained, and
  /// its logits are not computed.
  std::vector<float> weights;
  using Sequence = TrainingSequence;
  /// Cover the rows in order. `record` keys dropout and the cache of inputs.
  std::vector<Sequence> sequences;
};

/// The weighted loss of each sequence, in the order of TrainingRows::sequences.
struct RowsLoss {
  std::vector<double> sequence_loss;
};

/// A trained tensor in host memory. The optimizer changes `value`; Network::upload() after that.
struct TrainableTensor {
  /// As mlx-lm saves it: "model.layers.20.self_attn.q_proj.lora_a".
  std::string name;
  std::int64_t rows = 0;  ///< lora_a: [in, rank]; lora_b: [rank, out]; m: [1, out] (saved as [out])
  std::int64_t cols = 0;
  std::vector<float> value;
  /// All that was added since zero_gradients(), as of the last Network::download_gradients().
  std::vector<float> gradient;
};

/// What is trained, in mlx-lm's words.
struct LoraSettings {
  bool dora = false;
  std::int64_t rank = 8;
  float scale = 20.0f;
  float dropout = 0.0f;
  std::int64_t num_layers = 16;  ///< the last num_layers blocks; <= 0: all
  std::vector<std::string> keys =
      {};  ///< within a block: "self_attn.q_proj"; empty: every projection
};

struct NetworkOptions {
  LoraSettings lora = {};
  std::uint64_t dropout_seed = 0;
  bool grad_checkpoint = false;  ///< keep each block's input alone, and run its forward again
  /// Bytes of inputs of the first adapted block that are kept by record, so that the frozen blocks
  /// below run once a record instead of once an epoch. 0: none.
  std::size_t input_cache_bytes = 0;
};

/// Bytes that a batch needs; what --plan prints.
struct NetworkMemory {
  std::size_t weights = 0;      ///< of the checkpoint, mapped or on the device
  std::size_t trained = 0;      ///< values and gradients, on the host and on the machine
  std::size_t activations = 0;  ///< for a batch of that size
  std::size_t input_cache = 0;  ///< at most
};

/// A network in training: a frozen base with LoRA or DoRA pairs, its forward and its backward.
/// The parts of a loss and of a gradient that come from a sequence do not depend on what it is
/// packed with, nor on the number of threads, bit for bit.
class Network {
 public:
  virtual ~Network() = default;

  /// Loads a model folder for a backend that can train; the backend must outlive the network. The
  /// pairs start as zeros, DoRA's magnitudes as the rows' norms: the caller fills lora_a, then
  /// calls upload(). kUnsupported: the backend cannot train; kUsage: settings that fit no module,
  /// all in one Error.
  static Result<std::unique_ptr<Network>> load(const std::filesystem::path& folder,
                                               Backend& backend, const NetworkOptions& options);

  virtual const ModelConfig& config() const = 0;

  /// By block, within one in the order of the forward (q, k, v, o, gate, up, down), of a module
  /// lora_a, lora_b, then m. The vector itself must not change.
  virtual std::vector<TrainableTensor>& tensors() = 0;
  /// Brings changed values to the machine. kNumeric: DoRA would divide by a row norm of zero.
  virtual Result<void> upload() = 0;

  /// Every gradient to zero, on the machine, where the sums are kept; those in host memory stay
  /// what they were.
  virtual void zero_gradients() = 0;

  /// Forward alone, without dropout (validation). kUsage names a token, weight or sequence that
  /// does not fit; kLimit: a sequence is longer than the model's context; a loss that is not
  /// finite is no error.
  virtual Result<RowsLoss> loss(const TrainingRows& rows) = 0;
  /// Forward and backward: also adds to every gradient's sum on the machine. Dropout is keyed by
  /// (seed, step, module, record, position, column).
  virtual Result<RowsLoss> gradients(const TrainingRows& rows, std::uint64_t step = 0) = 0;
  /// Brings the sums to the tensors' `gradient`: once before the optimizer, not once a batch.
  virtual Result<void> download_gradients() = 0;

  /// For batches of `rows` rows whose longest sequence has `longest`.
  virtual NetworkMemory memory(std::int64_t rows, std::int64_t longest) const = 0;
};

}  // namespace bobby
