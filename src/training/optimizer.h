#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby {

enum class OptimizerKind : std::uint8_t { kAdam, kAdamW, kMuon, kSgd, kAdafactor };

/// "adam", "adamw", "muon", "sgd", "adafactor", and back.
std::string_view optimizer_name(OptimizerKind kind);
std::optional<OptimizerKind> find_optimizer(std::string_view name);

struct AdamOptions {  ///< weight_decay: AdamW alone
  double beta_1 = 0.9, beta_2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
  bool bias_correction = false;
  bool operator==(const AdamOptions&) const = default;
};

struct MuonOptions {
  double momentum = 0.95;
  double weight_decay = 0.01;
  bool nesterov = true;
  std::int64_t ns_steps = 5;
  bool operator==(const MuonOptions&) const = default;
};

struct SgdOptions {
  double momentum = 0;
  double weight_decay = 0;
  double dampening = 0;
  bool nesterov = false;
  bool operator==(const SgdOptions&) const = default;
};

struct AdafactorOptions {
  double eps_1 = 1e-30, eps_2 = 1e-3;
  double clip_threshold = 1;
  double decay_rate = -0.8;
  std::optional<double> beta_1;  ///< unset: no first moment
  double weight_decay = 0;
  bool scale_parameter = true;
  bool relative_step = true;  ///< the learning rate given to step() is not used
  bool warmup_init = false;
  bool operator==(const AdafactorOptions&) const = default;
};

/// Which optimizer, with MLX's options and MLX's defaults; only the chosen one's are read.
struct OptimizerConfig {
  OptimizerKind kind = OptimizerKind::kAdam;
  AdamOptions adam;
  MuonOptions muon;
  SgdOptions sgd;
  AdafactorOptions adafactor;
  bool operator==(const OptimizerConfig&) const = default;
};

/// One trained tensor, row by row.
struct ParameterUpdate {
  std::string_view name;            ///< keys the state: "model.layers.0.self_attn.q_proj.lora_a"
  std::span<float> value;           ///< [rows * cols], changed in place
  std::span<const float> gradient;  ///< [rows * cols]
  std::int64_t rows = 1, cols = 0;
  bool matrix = true;  ///< false for DoRA's m: Adafactor and Muon treat a vector otherwise
};

/// A tensor of an optimizer's state: "NAME.m", "NAME.v", "NAME.exp_avg_sq_row", ...
struct StateTensor {
  std::string name;
  std::vector<float> values;
  bool operator==(const StateTensor&) const = default;
};

/// All that an optimizer carries from step to step.
struct OptimizerState {
  std::uint64_t step = 0;            ///< updates made
  std::vector<StateTensor> tensors;  ///< by name, sorted
  bool operator==(const OptimizerState&) const = default;
};

/// The optimizers of mlx.optimizers, in MLX's fp32 arithmetic, one rounding an operation. The
/// result of a step depends on nothing but the state, the rate and the updates.
class Optimizer {
 public:
  /// kUsage for options out of their range, as MLX's constructors refuse them.
  static Result<std::unique_ptr<Optimizer>> make(const OptimizerConfig& config);
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update of every parameter. State for a name not met before begins with zeros.
  /// Precondition: a name always comes with the same shape.
  virtual void step(float learning_rate, std::span<const ParameterUpdate> updates) = 0;

  /// Everything needed to go on bit for bit after restore().
  virtual OptimizerState state() const = 0;
  /// Takes over a saved state. kMismatch names a tensor that this kind of optimizer does not have,
  /// and, where the parameters to come are given (gradients may be empty), one that is none of
  /// theirs or is of another size: give them when the state comes from a file.
  Result<void> restore(const OptimizerState& state,
                       std::span<const ParameterUpdate> parameters = {}) {
    return take_over(state, parameters);
  }

 protected:
  Optimizer() = default;

 private:
  virtual Result<void> take_over(const OptimizerState& state,
                                 std::span<const ParameterUpdate> parameters) = 0;
};

/// The gradients' common L2 norm, summed in double in the order given.
double gradient_norm(std::span<const std::span<float>> gradients);

/// Scales all gradients by min(max_norm / (norm + 1e-6), 1), as mlx.optimizers.clip_grad_norm does;
/// returns the norm before. Not finite: nothing is scaled.
double clip_gradient_norm(std::span<const std::span<float>> gradients, double max_norm);

}  // namespace bobby
