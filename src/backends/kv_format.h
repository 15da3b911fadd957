#pragma once

// Alone in its header: kernels that are compiled for one instruction set include it, and nothing
// that has functions.

#include <cstdint>

namespace bobby {

/// How keys and values are kept. Of one head's vector at one position, [head_dim]:
///  - kF32: the numbers as they are.
///  - kF16: IEEE halves, rounded to nearest even. A number that does not fit becomes +-65504 and is
///    counted (KvStorage::saturated()); NaN stays NaN. Relative error of a number: 2^-11.
///  - kInt8: signed bytes q in -127 .. 127 and one fp32 scale s for the vector, x = s * q.
///    s = max|x| / 127 and q = x / s, rounded to nearest even: an error of s / 2 = max|x| / 254 at
///    most. A vector of zeros has s = 0, one that holds NaN or infinity s = NaN. The block of a
///    head holds the bytes of all its positions, then (at the next multiple of 4) their scales.
enum class KvFormat : std::uint8_t { kF32, kF16, kInt8 };

}  // namespace bobby
