#pragma once

#include <memory>

#include "backends/cpu/cpu.h"
#include "backends/training_ops.h"
#include "base/thread_pool.h"

namespace bobby::cpu {

/// The operations of training with the kernels of an available instruction set.
std::unique_ptr<TrainingOps> make_training_ops(CpuIsa isa, ThreadPool& pool);

}  // namespace bobby::cpu
