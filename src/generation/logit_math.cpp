#include "generation/logit_math.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

// A vocabulary of 151,936 passes through here for every token: on a GPU a step takes 1.4 ms, and
// std::exp one by one would take as long again. Plain loops over lanes, which the compiler turns
// into vectors, in one version for each instruction set where the linker can choose; none of them
// fuses a product into a sum, so that all give the same bits.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BOBBY_FOR_EACH_ISA __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define BOBBY_FOR_EACH_ISA
#endif

namespace bobby::detail {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kBlock = 64 * kLanes;  // added up in fp32, then to the sum in fp64

// exp(x) for x <= 0: 2^n * e^f with |f| <= ln 2 / 2, the latter by its Taylor series. What is below
// the least normal number counts as that.
inline float exp_of_negative(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the low bits
  x = x < -87.0f ? -87.0f : x;
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float power = 1.0f / 5040.0f;
  power = power * f + 1.0f / 720.0f;
  power = power * f + 1.0f / 120.0f;
  power = power * f + 1.0f / 24.0f;
  power = power * f + 1.0f / 6.0f;
  power = power * f + 0.5f;
  power = power * f + 1.0f;
  power = power * f + 1.0f;
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) + 127u) << 23;
  return power * std::bit_cast<float>(exponent);
}

BOBBY_FOR_EACH_ISA
double sum_exp_of(const float* values, std::size_t count, float top) {
  double sum = 0.0;
  std::size_t i = 0;
  while (i + kLanes <= count) {
    float lanes[kLanes] = {};
    const std::size_t end = std::min(i + kBlock, count / kLanes * kLanes);
    for (; i < end; i += kLanes)
      for (std::size_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] += exp_of_negative(values[i + lane] - top);
    for (const float lane : lanes) sum += lane;
  }
  for (; i < count; ++i) sum += exp_of_negative(values[i] - top);
  return sum;
}

BOBBY_FOR_EACH_ISA
float largest_of(const float* values, std::size_t count) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, values[0]);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
  float top = *std::max_element(lanes, lanes + kLanes);
  for (; i < count; ++i) top = std::max(top, values[i]);
  return top;
}

// x * 0 is 0 for every finite x and NaN for the others, so one sum answers for all.
BOBBY_FOR_EACH_ISA
float sum_of_zeros(const float* values, std::size_t count) {
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane] * 0.0f;
  float sum = 0.0f;
  for (const float lane : lanes) sum += lane;
  for (; i < count; ++i) sum += values[i] * 0.0f;
  return sum;
}

}  // namespace

float largest(std::span<const float> values) {
  return largest_of(values.data(), values.size());
}

double sum_exp(std::span<const float> values, float top) {
  return sum_exp_of(values.data(), values.size(), top);
}

bool all_finite(std::span<const float> values) {
  return sum_of_zeros(values.data(), values.size()) == 0.0f;
}

}  // namespace bobby::detail
