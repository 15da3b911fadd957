#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "fidelity/report.h"

namespace bobby::fidelity {

/// Rows of logits of one way, [rows, vocab_size].
using LogitsRows = std::span<const float>;

/// What some positions' logits are compared with: the reference's, and what stands there.
struct ComparedRows {
  LogitsRows reference;
  std::int64_t vocab_size = 0;
  std::span<const std::int32_t> targets;  ///< [rows]
  std::span<const std::size_t> places;    ///< [rows], where a row's result goes
};

/// What the reference itself says of the rows.
void describe_rows(ThreadPool& pool, const ComparedRows& rows, std::span<ReferenceRow> out);
/// How far `logits` are from the reference; sums are in double.
void compare_rows(ThreadPool& pool, const ComparedRows& rows, LogitsRows logits,
                  std::span<WayRow> out);

}  // namespace bobby::fidelity
