#pragma once

#include <cstdint>

namespace bobby::bot {

/// What a number is drawn for (the last argument of uniform()): each has numbers of its own, apart
/// from those that tokens are drawn with.
inline constexpr std::uint32_t kDrawTime = 0xB0770001;
inline constexpr std::uint32_t kDrawJitter = 0xB0770002;

}  // namespace bobby::bot
