#pragma once

// attention() for the rows of prompts, on tensor cores.

#include <cuda_runtime.h>

#include "backends/cuda/attention_kernels.h"

namespace bobby::cuda {

/// Consecutive rows of one sequence.
struct PromptRows {
  int row_begin = 0;  ///< of q and out
  int row_count = 0;
  int position = 0;  ///< of the first
  int blocks_begin = 0;
};

/// Whether there is such a kernel: halves in the cache, heads of 64 or 128 numbers.
bool has_prompt_attention(const KvLayer& kv);

/// So that the first step does not wait for the driver.
void load_prompt_attention(const KvLayer& kv);

/// Keys are taken in spans of 64 from position 0 on, so that what a row gets depends on its own
/// position alone. `args` without its spans and parts.
void attend_prompt(const AttendArgs& args, const PromptRows& rows, const KvLayer& kv,
                   const Places& places, cudaStream_t stream);

}  // namespace bobby::cuda
