#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "training/optimizer.h"

namespace bobby {

/// An optimizer whose state is a step count and tensors named "PARAMETER.SUFFIX".
class TensorOptimizer : public Optimizer {
 public:
  void step(float learning_rate, std::span<const ParameterUpdate> updates) final;
  OptimizerState state() const final;

 protected:
  /// `suffixes`: those that this kind of optimizer can have; must outlive it.
  explicit TensorOptimizer(std::span<const std::string_view> suffixes) : suffixes_(suffixes) {}

  /// Makes a parameter's state before update(); true: update() then touches that parameter and its
  /// state alone, and several threads may share the parameters.
  virtual bool prepare(const ParameterUpdate& /*parameter*/) { return false; }
  /// Updates one parameter; step_count() counts this update already.
  virtual void update(float learning_rate, const ParameterUpdate& parameter) = 0;

  std::uint64_t step_count() const { return step_; }
  /// The state tensor of a parameter, zeros at first. Aborts when a restored one has another size,
  /// which restore() would have told had it been given the parameters.
  std::span<float> tensor(const ParameterUpdate& parameter, std::string_view suffix,
                          std::size_t size);

 private:
  Result<void> take_over(const OptimizerState& state,
                         std::span<const ParameterUpdate> parameters) final;

  std::span<const std::string_view> suffixes_;
  std::uint64_t step_ = 0;
  std::map<std::string, std::vector<float>, std::less<>> tensors_;
};

/// What Optimizer::make chooses from; options are already checked.
std::unique_ptr<Optimizer> make_adam(const AdamOptions& options, bool decoupled_weight_decay);
std::unique_ptr<Optimizer> make_muon(const MuonOptions& options);
std::unique_ptr<Optimizer> make_sgd(const SgdOptions& options);
std::unique_ptr<Optimizer> make_adafactor(const AdafactorOptions& options);

/// A Python number as MLX takes it into fp32 arithmetic.
inline float as_float(double value) {
  return static_cast<float>(value);
}

}  // namespace bobby
