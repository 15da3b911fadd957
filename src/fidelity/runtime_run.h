#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "fidelity/measure.h"

namespace bobby::fidelity {

/// A row of logits that the runtime gives: which sequence, and after which of its tokens.
struct RuntimePosition {
  std::size_t sequence = 0;
  std::int64_t position = 0;  ///< the logits say what comes at position + 1
};

/// Takes rows of logits [positions.size(), vocab_size] as they come.
using RuntimeRows =
    std::function<Result<void>(std::span<const RuntimePosition>, std::span<const float>)>;

/// Runs sequences as posts are written: the prompts at once, then all posts a token at a time in
/// company, each with the token that stands there.
Result<void> run_as_written(Model& model, const AdapterUse& adapter, KvFormat format,
                            std::span<const Sequence> sequences, const RuntimeRows& take);

}  // namespace bobby::fidelity
