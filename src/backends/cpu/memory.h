#pragma once

#include <cstddef>
#include <memory>

#include "backends/backend.h"
#include "base/result.h"

namespace bobby::cpu {

/// `bytes` zeroed bytes on whole pages, straight from the system: a page costs memory from its
/// first touch on, so a large KV cache is paid for as it fills. kLimit when there is no room.
Result<std::unique_ptr<Buffer>> map_memory(std::size_t bytes);

}  // namespace bobby::cpu
