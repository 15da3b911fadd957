#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace bobby {

/// One full KV block of a prefix cache: which tokens it holds, behind which others.
struct PrefixBlock {
  std::int32_t parent = -1;  ///< the block before it, an index into PrefixList::blocks; -1: none
  std::int32_t voice = 0;    ///< an index into PrefixList::voices, the same as the parent's
  std::vector<std::int32_t> tokens;
};

/// What a prefix cache holds, without the keys and values: parents stand before their children, and
/// what was used last before what was not.
struct PrefixList {
  std::vector<std::string> voices;  ///< what computed the blocks beside the base: adapters, scales
  std::vector<PrefixBlock> blocks;
  std::size_t block_bytes = 0;  ///< of the keys and values of each: KvShape::block_bytes()
};

/// Where a prefix cache is written: `begin` once, then `block` for each block in the list's order,
/// with its bytes. An Error of theirs ends the work.
struct PrefixSink {
  std::function<Result<void>(const PrefixList&)> begin;
  std::function<Result<void>(std::span<const std::byte>)> block;
};

/// Where one is read from: the list, and each block's bytes by its index, valid until the next.
struct PrefixSource {
  PrefixList list;
  std::function<Result<std::span<const std::byte>>(std::size_t)> block;
};

}  // namespace bobby
