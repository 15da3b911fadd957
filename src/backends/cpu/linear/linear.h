#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "backends/backend.h"
#include "backends/cpu/cpu.h"
#include "base/result.h"
#include "base/thread_pool.h"

namespace bobby::cpu {

/// Backend::linear() on the CPU: quantised products with q15 or int8 activations, dense products in
/// fp32, bias and LoRA. Weights are read where they lie, at any alignment. The result has the same
/// bits for a row alone or in company, on any number of threads and on every instruction set; the
/// order of the sums is stated in kernels.h.
class LinearEngine {
 public:
  /// `isa` must be one of available_isas(); `pool` must outlive the engine.
  LinearEngine(CpuIsa isa, ThreadPool& pool, ActivationFormat format = ActivationFormat::kQ15);
  ~LinearEngine();
  LinearEngine(const LinearEngine&) = delete;
  LinearEngine& operator=(const LinearEngine&) = delete;

  /// kUnsupported, naming the format, for what linear() does not take.
  Result<void> supports(const WeightFormat& format) const;

  /// As Backend::linear(). One call at a time. Memory for packed activations and LoRA's A x grows
  /// to the largest step seen and is kept.
  void linear(Activation x, std::span<const Projection> projections);

  /// "avx512-vnni", ...
  std::string_view kernel_name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bobby::cpu
