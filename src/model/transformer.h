#pragma once

#include <memory>
#include <vector>

#include "model/forward.h"
#include "model/model.h"
#include "model/step.h"
#include "model/weight_loader.h"
#include "safetensors/safetensors.h"

namespace bobby {

/// A Model of any architecture: the weights, the forward that reads them, and the memory of a step.
class Transformer final : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(const std::filesystem::path& folder, Backend& backend);

  const ModelConfig& config() const override { return config_; }
  Backend& backend() const override { return backend_; }
  std::size_t weight_bytes() const override;
  std::size_t decode_bytes() const override;
  Result<std::shared_ptr<const AttachedAdapter>> attach(std::shared_ptr<const Adapter> adapter,
                                                        float factor) override;
  KvShape kv_shape(std::int64_t blocks, KvFormat format) const override;
  Result<Activation> step(std::span<const StepSequence> sequences, KvStorage& kv) override;

 private:
  Transformer(ModelConfig config, safetensors::Checkpoint checkpoint, Backend& backend);

  Result<void> check(const StepSequence& sequence, const KvShape& kv) const;
  Result<void> check_tokens(const StepSequence& sequence) const;
  Result<void> check_adapters(const StepSequence& sequence) const;
  void gather(std::span<const StepSequence> sequences);

  // What points into what: the forward into the weights, those into the mapped checkpoint.
  ModelConfig config_;
  safetensors::Checkpoint checkpoint_;
  Backend& backend_;
  LoadedWeights weights_;
  std::unique_ptr<Forward> forward_;

  // One step's lists and memory, kept so that a step allocates nothing once they have grown.
  std::vector<std::int32_t> tokens_;
  std::vector<SequenceRows> rows_;
  std::vector<std::int32_t> logits_rows_;
  std::vector<LoraTable::Rows> lora_rows_;
  std::vector<LoraTable::Rows> lora_head_rows_;
  LoraTable lora_;
  Workspace workspace_;
};

}  // namespace bobby
