#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/device.h"
#include "backends/cuda/step_program.h"
#include "backends/cuda/step_recorder.h"

namespace bobby::cuda {

/// Runs steps of a known form, all of it, as one persistent kernel. docs/adr/0010 says how.
class StepRunner {
 public:
  explicit StepRunner(cudaStream_t stream);

  /// Enqueues what was noted. False: it is not of the form, nothing was done.
  Result<bool> run(const StepRecorder& step);
  /// The stream is idle.
  void synced() { in_flight_ = false; }

 private:
  /// A step's adapters as the kernel wants them.
  struct Adapters {
    std::vector<StepLora> loras;
    bool fit = false;  ///< whether the kernel knows what to do with them
    std::unique_ptr<DeviceMemory> memory;
    StepAdapters tables;
  };
  /// One form of step: everything but the numbers that change.
  struct Program {
    std::vector<StepOp> ops;
    std::uint64_t form = 0;  // the recorder's number of them, when they came last
    StepArgs args;
    Element element = Element::kF32;
    std::size_t shared_bytes = 0;
    std::unique_ptr<DeviceMemory> layers, exchange;
    std::vector<Adapters> adapters;  // the last few
    std::size_t next_adapters = 0;
  };

  Program* find(const StepRecorder& step);
  Result<Program*> add(std::span<const StepOp> ops);
  Result<void> lay_out(Program& program, const std::vector<StepLayer>& layers);
  Result<void> make_exchange(Program& program);
  Result<const Adapters*> find_adapters(Program& program, std::span<const StepLora> loras);
  Result<void> build(const Program& program, Adapters& adapters);
  Result<void> place(const StepRecorder& step, StepArgs& args);
  Result<void> make_parts(StepArgs& args);

  cudaStream_t stream_;
  int multiprocessors_ = 0;
  std::size_t shared_limit_ = 0;  // 0: the device cannot run such kernels
  std::vector<std::unique_ptr<Program>> programs_;
  std::size_t next_program_ = 0;
  // Block tables on the device.
  std::vector<std::int32_t> blocks_, next_blocks_;
  std::unique_ptr<PinnedMemory> host_;
  std::unique_ptr<DeviceMemory> device_;
  std::unique_ptr<DeviceMemory> parts_;
  bool in_flight_ = false;
};

}  // namespace bobby::cuda
