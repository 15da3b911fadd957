#pragma once

#include <cstdint>

#include "base/random.h"

namespace bobby::data {

/// What a number is drawn for. Each has numbers of its own.
enum class Draw : std::uint32_t { kSplit, kOrder, kCopies, kPrompt };

/// A number in [0, 1) for a text (its text_hash()) and its `copy`: the same whatever other texts
/// there are, so that a dataset changes little when posts are added to it.
inline double draw(std::uint64_t seed, Draw what, std::uint64_t text, std::uint32_t copy = 0) {
  const auto row = static_cast<std::uint32_t>(text);
  const auto position = static_cast<std::uint32_t>(text >> 32);
  return uniform(seed, row, position, static_cast<std::uint32_t>(what) << 28 | copy);
}

}  // namespace bobby::data
