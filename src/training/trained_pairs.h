#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "backends/training_ops.h"
#include "base/result.h"
#include "training/network.h"
#include "training/network_weights.h"

namespace bobby {

/// The low-rank pairs of a network: their tensors in host memory and the machine's copies.
class TrainedPairs {
 public:
  /// kUsage: settings that fit no module of the model, all of them.
  static Result<std::unique_ptr<TrainedPairs>> make(const NetworkWeights& weights,
                                                    const LoraSettings& settings, Backend& backend,
                                                    TrainingOps& ops);

  /// Null where a projection is frozen.
  TrainingLora* find(std::size_t block, BlockProjection projection);
  const TrainingLora* find(std::size_t block, BlockProjection projection) const;
  bool any(std::size_t block, std::initializer_list<BlockProjection> projections) const;
  /// The lowest block in which something is trained.
  std::size_t first_block() const { return first_block_; }

  std::vector<TrainableTensor>& tensors() { return tensors_; }
  Result<void> upload();
  void zero_gradients();
  Result<void> download_gradients();
  /// Which inputs the forward and backward until the next call drop.
  void set_dropout(float rate, std::uint64_t seed, std::uint64_t step);
  std::size_t bytes() const;

 private:
  struct Module {
    std::string path;
    const Weight* weight = nullptr;
    std::size_t tensor = 0;  ///< of lora_a; lora_b and m follow
    TrainingLora lora = {};
    Activation norms = {};  ///< DoRA: [1, out_features], of the adapted weight's rows
  };

  TrainedPairs(Backend& backend, TrainingOps& ops) : backend_(backend), ops_(ops) {}

  void choose(const NetworkWeights& weights, const LoraSettings& settings);
  Result<void> allocate(const LoraSettings& settings);
  void lay_out(std::int64_t rank);
  Result<void> upload_magnitudes();
  void take_gradients(const Module& module);

  Backend& backend_;
  TrainingOps& ops_;
  bool dora_ = false;
  std::size_t first_block_ = 0;
  std::vector<Module> modules_;
  std::vector<std::int64_t> by_place_;  ///< [block, projection]: a module's number, or -1
  std::vector<TrainableTensor> tensors_;
  std::unique_ptr<Buffer> memory_;
  // Stretches of it, each in the order of modules, so that one copy brings all of a kind.
  Activation values_ = {};       ///< a, b
  Activation multipliers_ = {};  ///< DoRA, as norms_
  Activation norms_ = {};
  Activation gradients_ = {};  ///< a, b; then, with DoRA, the multipliers'
  std::vector<float> staging_;
  std::vector<float> staged_norms_;  ///< of the values uploaded last
};

}  // namespace bobby
