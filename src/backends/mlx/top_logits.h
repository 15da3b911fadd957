#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/mlx/machine.h"

namespace bobby::mlx_backend {

/// Backend::top_logits(): the device finds the largest of each chunk of logits, the host asks for
/// the few chunks that matter.
class TopLogitsEngine {
 public:
  explicit TopLogitsEngine(const Machine& machine) : machine_(machine) {}

  /// logits: [rows, vocab_size]. Waits; the results stay until the next call.
  std::span<const TopLogits> run(const mx::array& logits);

 private:
  struct Row {
    std::vector<std::int32_t> tokens;
    std::vector<float> logits;
  };
  void list(const mx::array& chunks, std::span<const float> maxima, int row, float floor, Row& to);

  const Machine& machine_;
  std::vector<Row> rows_;
  std::vector<TopLogits> tops_;
};

}  // namespace bobby::mlx_backend
