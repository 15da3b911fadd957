#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/cpu/kv.h"
#include "backends/cpu/ops/ops.h"
#include "base/thread_pool.h"

namespace bobby::cpu {

/// Backend::rope_and_store(). Sines and cosines are kept from one call to the next, because every
/// layer of a step asks for the same positions.
class RopeEngine {
 public:
  RopeEngine(const CpuOps& ops, ThreadPool& pool) : ops_(ops), pool_(pool) {}

  void rope_and_store(const RopeStore& args);

 private:
  void place_rows(const RopeStore& args);
  void compute_angles(std::span<const float> inv_freq);
  void run_row(const RopeStore& args, const RowPlace& place, std::size_t index) const;

  const CpuOps& ops_;
  ThreadPool& pool_;
  std::vector<RowPlace> places_;

  // The angles of positions_ at inv_freq_: [rows, 2, head_dim / 2], cosines then sines.
  std::vector<float> angles_;
  std::vector<std::int64_t> positions_;
  std::vector<float> inv_freq_;
};

}  // namespace bobby::cpu
