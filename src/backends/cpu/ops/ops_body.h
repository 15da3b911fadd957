#pragma once

// The kernels, once, over a vector type V: see vector_portable.h for what V must offer. Included by
// the files that are compiled for one instruction set each, so nothing here or in what it includes
// may be an inline function of the outside world (the linker would keep one copy for all callers,
// perhaps one that this processor cannot run): builtins and templates over V only.

#include <cstdint>

#include "backends/cpu/ops/attend_body.h"
#include "backends/cpu/ops/ops.h"
#include "backends/cpu/ops/vector_math.h"

namespace bobby::cpu {

template <typename V>
struct OpsBody {
  using Reg = typename V::Reg;
  static constexpr std::int64_t kLanes = V::kLanes;

  template <typename F>
  static void for_each_vector(std::int64_t count, const F& f) {
    VectorMath<V>::for_each_vector(count, f);
  }

  static void exp(const float* x, std::int64_t count, float* out) {
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      V::store_n(out + i, VectorMath<V>::exp_of(V::load_n(x + i, lanes)), lanes);
    });
  }

  static void rms_norm(const float* x, const float* weight, std::int64_t cols, float eps,
                       float* out) {
    Reg sums[4] = {V::set1(0), V::set1(0), V::set1(0), V::set1(0)};
    std::int64_t i = 0;
    for (; i + 4 * kLanes <= cols; i += 4 * kLanes)
      for (int j = 0; j < 4; ++j) {
        const Reg v = V::load(x + i + j * kLanes);
        sums[j] = V::fma(v, v, sums[j]);
      }
    for_each_vector(cols - i, [&](std::int64_t k, std::int64_t lanes) {
      const Reg v = V::load_n(x + i + k, lanes);
      sums[0] = V::fma(v, v, sums[0]);
    });
    const float sum = V::sum(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
    const Reg factor = V::set1(1.0f / __builtin_sqrtf(sum / static_cast<float>(cols) + eps));
    for_each_vector(cols, [&](std::int64_t k, std::int64_t lanes) {
      const Reg v = V::mul(V::load_n(x + k, lanes), factor);
      V::store_n(out + k, V::mul(v, V::load_n(weight + k, lanes)), lanes);
    });
  }

  static void rotate(float* head, const float* cosines, const float* sines, std::int64_t half) {
    for_each_vector(half, [&](std::int64_t i, std::int64_t lanes) {
      const Reg cosine = V::load_n(cosines + i, lanes);
      const Reg sine = V::load_n(sines + i, lanes);
      const Reg first = V::load_n(head + i, lanes);
      const Reg second = V::load_n(head + half + i, lanes);
      V::store_n(head + i, V::sub(V::mul(first, cosine), V::mul(second, sine)), lanes);
      V::store_n(head + half + i, V::add(V::mul(second, cosine), V::mul(first, sine)), lanes);
    });
  }

  static std::int64_t to_half(const float* x, std::int64_t count, std::uint16_t* out) {
    constexpr float kLargest = 65504.0f;
    std::int64_t saturated = 0;
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg v = V::load_n(x + i, lanes);
      saturated += V::count_beyond(v, kLargest);
      V::store_half_n(out + i, V::min(V::set1(kLargest), V::max(V::set1(-kLargest), v)), lanes);
    });
    return saturated;
  }

  static float to_int8(const float* x, std::int64_t count, std::int8_t* out) {
    Reg largest = V::set1(0);
    Reg spoilt = V::set1(0);  // zero, or NaN once a number is not finite
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg v = V::load_n(x + i, lanes);
      largest = V::max(V::max(v, V::sub(V::set1(0), v)), largest);
      spoilt = V::add(spoilt, V::sub(v, v));
    });
    const float scale = V::largest(largest) / 127.0f + V::sum(spoilt);
    const Reg divisor = V::set1(scale > 0.0f ? scale : 1.0f);
    const Reg none = V::set1(scale > 0.0f ? 127.0f : 0.0f);
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg steps = V::round(V::div(V::load_n(x + i, lanes), divisor));
      const Reg most = V::min(steps, none);  // the second argument in the place of a NaN
      V::store_int8_n(out + i, V::max(most, V::sub(V::set1(0), none)), lanes);
    });
    return scale;
  }

  static void swiglu(const float* gate, const float* up, std::int64_t count, float* out) {
    const Reg one = V::set1(1.0f);
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg g = V::load_n(gate + i, lanes);
      const Reg silu = V::div(g, V::add(one, VectorMath<V>::exp_of(V::sub(V::set1(0), g))));
      V::store_n(out + i, V::mul(silu, V::load_n(up + i, lanes)), lanes);
    });
  }

  static void add(float* x, const float* y, std::int64_t count) {
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      V::store_n(x + i, V::add(V::load_n(x + i, lanes), V::load_n(y + i, lanes)), lanes);
    });
  }

  static constexpr CpuOps table() {
    return {.rms_norm = rms_norm,
            .rotate = rotate,
            .to_half = to_half,
            .to_int8 = to_int8,
            .swiglu = swiglu,
            .add = add,
            .attend = AttendBody<V>::attend,
            .attend_chunk = AttendBody<V>::attend_chunk,
            .attend_merge = AttendBody<V>::attend_merge,
            .exp = exp};
  }
};

}  // namespace bobby::cpu
