#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/backend.h"
#include "backends/cpu/ops/ops.h"
#include "base/thread_pool.h"

namespace bobby::cpu {

/// Backend::attention(), shared out by tiles of rows x KV heads.
class AttentionEngine {
 public:
  AttentionEngine(const CpuOps& ops, ThreadPool& pool) : ops_(ops), pool_(pool) {}

  void attention(const Attention& args);

 private:
  void plan(const Attention& args, std::int64_t group);
  void reserve_scratch();

  const CpuOps& ops_;
  ThreadPool& pool_;

  // Kept from call to call, to be allocated once.
  std::vector<AttendTile> tiles_;  // of KV head 0
  std::vector<float> scratch_;     // a part for each thread
  std::int64_t thread_scratch_ = 0;
};

}  // namespace bobby::cpu
