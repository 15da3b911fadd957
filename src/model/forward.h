#pragma once

#include <memory>

#include "model/config.h"
#include "model/step.h"
#include "model/weight_loader.h"

namespace bobby {

/// What differs between architectures: which weights there are and what is done with them.
class Forward {
 public:
  virtual ~Forward() = default;
  /// Runs a step: tokens in, logits of the rows that want them out, keys and values stored.
  virtual void run(const Step& step) const = 0;
};

/// Both ask `weights` for every tensor of the architecture; problems show in its finish().
/// The first module is the embedding, the last the head. `config` must outlive the forward.
std::unique_ptr<Forward> make_qwen3(const ModelConfig& config, WeightLoader& weights);
std::unique_ptr<Forward> make_llama(const ModelConfig& config, WeightLoader& weights);

}  // namespace bobby
