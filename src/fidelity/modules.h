#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.h"
#include "backends/training_ops.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "fidelity/measure.h"
#include "lora/fused_rows.h"
#include "training/network_weights.h"

namespace bobby::fidelity {

/// A weight that was made here: its bytes, and what the backend made of them.
struct MadeWeight {
  std::vector<std::byte> weight, scales, biases;
  std::unique_ptr<Weight> loaded;
};

/// A pair on the host backend, in the layout of training.
struct HostPair {
  std::unique_ptr<Buffer> memory;
  TrainingLora lora;
};

/// The modules of a base by what an adapter makes of them: fused weights, quantised ones, pairs.
class AdaptedModules {
 public:
  /// kMismatch, kUnsupported: as for measure().
  static Result<std::unique_ptr<AdaptedModules>> make(const NetworkWeights& base,
                                                      const Subject& subject,
                                                      const Options& options);

  bool is_adapted(std::string_view path) const { return deltas_.contains(path); }
  /// In the order of the forward.
  std::vector<std::string> adapted_paths() const;

  /// base + change in Options::fused_type; of a module that is not adapted, the base in that type.
  Result<MadeWeight> fused(const Linear& linear, DeltaKept* kept);
  /// The same, quantised again; `with_change` false: the base alone.
  Result<MadeWeight> requantized(const Linear& linear, bool with_change, DeltaKept* kept);
  /// The pair of an adapted module over `weight`, which DoRA's norms are of.
  Result<HostPair> pair(const std::string& path, const Weight& weight);
  /// What requantized() makes of this module.
  WeightFormat requantized_format(const WeightView& view) const;

 private:
  AdaptedModules(const NetworkWeights& base, const Subject& subject, const Options& options)
      : base_(base), host_(subject.host), options_(options), pool_(options.threads) {}

  struct Adapted {
    const AdapterModule* module = nullptr;
    WeightDelta delta;
  };
  const WeightDelta* delta_of(const std::string& path) const;
  template <typename Work>
  Result<DeltaKept> by_rows(std::int64_t rows, bool keep, const Work& work);

  const NetworkWeights& base_;
  Backend& host_;
  const Options& options_;
  float factor_ = 1.0f;
  ThreadPool pool_;
  std::map<std::string, Adapted, std::less<>> deltas_;
};

}  // namespace bobby::fidelity
