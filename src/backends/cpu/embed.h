#pragma once

#include <cstdint>
#include <span>

#include "backends/backend.h"
#include "base/thread_pool.h"

namespace bobby::cpu {

/// Backend::embed(). LoRA deltas are summed in fp32, rank by rank.
void embed(ThreadPool& pool, const Weight& table, std::span<const std::int32_t> tokens,
           std::span<const LoraRows> lora, Activation out);

}  // namespace bobby::cpu
