#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "lora/adapter.h"
#include "model/config.h"
#include "model/model.h"
#include "model/weight_loader.h"

namespace bobby {

/// An adapter on a model's backend: its pairs, ready to be named by the rows of a step.
class AttachedAdapter {
 public:
  /// What one module gains.
  struct Part {
    std::unique_ptr<LoraWeight> lora;
    float scale = 0.0f;  ///< the module's own; the factor in use multiplies it
  };

  /// Checks `adapter` against the modules of a model and uploads it. All problems in one Error:
  /// modules that the model has not, or that adapter_config.json does not name, or that it names
  /// and the file lacks; shapes.
  static Result<std::shared_ptr<const AttachedAdapter>> make(std::shared_ptr<const Adapter> adapter,
                                                             float factor,
                                                             const ModelConfig& config,
                                                             std::span<const Module> modules,
                                                             Backend& backend);

  /// Null for a module that the adapter leaves alone.
  const Part* part(int slot) const {
    const Part& part = parts_[static_cast<std::size_t>(slot)];
    return part.lora ? &part : nullptr;
  }
  const Adapter& adapter() const { return *adapter_; }
  const std::string& digest() const { return digest_; }  ///< adapter_digest()
  /// DoRA: the factor that its row norms were made for.
  float factor() const { return factor_; }
  /// Whether it was attached to the model with these modules.
  bool belongs_to(std::span<const Module> modules) const { return modules_ == modules.data(); }

 private:
  AttachedAdapter() = default;

  /// `b` is module.b, in the checkpoint's order of rows.
  Result<void> upload(const AdapterModule& module, const float* b, int slot, const Weight& weight,
                      Backend& backend);
  Result<void> upload_tied_head(const AdapterModule& module, int slot, Backend& backend);

  std::shared_ptr<const Adapter> adapter_;  // its numbers are used in place
  std::string digest_;
  float factor_ = 1.0f;
  const Module* modules_ = nullptr;
  std::deque<std::vector<float>> computed_;  // multipliers, rows in order, a tied head
  std::vector<Part> parts_;                  // by slot
};

}  // namespace bobby
