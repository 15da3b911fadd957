#include "tensor/formats/dense.h"

#include <cstdlib>
#include <cstring>

#include "tensor/half.h"

namespace bobby {
namespace {

template <float (*convert)(std::uint16_t)>
void widen16(const std::byte* from, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, from + 2 * i, sizeof bits);
    to[i] = convert(bits);
  }
}

template <std::uint16_t (*convert)(float)>
void narrow16(const float* from, std::int64_t count, std::byte* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint16_t bits = convert(from[i]);
    std::memcpy(to + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace

bool is_float_dtype(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

void widen(DType dtype, const std::byte* from, std::int64_t count, float* to) {
  switch (dtype) {
    case DType::kF32:
      if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case DType::kF16: return widen16<f16_to_float>(from, count, to);
    case DType::kBF16: return widen16<bf16_to_float>(from, count, to);
    default: std::abort();  // a caller's bug: see the precondition
  }
}

void narrow(DType dtype, const float* from, std::int64_t count, std::byte* to) {
  switch (dtype) {
    case DType::kF32:
      if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case DType::kF16: return narrow16<float_to_f16>(from, count, to);
    case DType::kBF16: return narrow16<float_to_bf16>(from, count, to);
    default: std::abort();  // a caller's bug: see the precondition
  }
}

}  // namespace bobby
