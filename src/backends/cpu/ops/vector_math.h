#pragma once

// What ops_body.h and attend_body.h share, over a vector type V. The rule of ops_body.h holds here.

#include <cstdint>

namespace bobby::cpu {

template <typename V>
struct VectorMath {
  using Reg = typename V::Reg;
  static constexpr std::int64_t kLanes = V::kLanes;

  /// Calls f(first, lanes) for every vector of [0, count); the last may have fewer lanes.
  template <typename F>
  static void for_each_vector(std::int64_t count, const F& f) {
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) f(i, kLanes);
    if (i < count) f(i, count - i);
  }

  /// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its series (the first term left out is 5e-9),
  /// times 2^n. ln 2 is taken in two parts, the first short enough that n times it is exact.
  static Reg exp_of(Reg x) {
    constexpr float kLog2e = 1.44269504088896341f;
    constexpr float kLn2High = 0x1.62e4p-1f;
    constexpr float kLn2Low = 1.42860682030941723e-6f;
    // Below, the result is 0; above, infinite. In this order a NaN passes through.
    x = V::min(V::set1(89.0f), V::max(V::set1(-104.0f), x));
    const Reg n = V::round(V::mul(x, V::set1(kLog2e)));
    Reg r = V::fma(n, V::set1(-kLn2High), x);
    r = V::fma(n, V::set1(-kLn2Low), r);
    Reg p = V::set1(1.0f / 5040);
    p = V::fma(p, r, V::set1(1.0f / 720));
    p = V::fma(p, r, V::set1(1.0f / 120));
    p = V::fma(p, r, V::set1(1.0f / 24));
    p = V::fma(p, r, V::set1(1.0f / 6));
    p = V::fma(p, r, V::set1(0.5f));
    // 1 + (r + r^2 * rest): the large terms last, so that only their rounding counts.
    p = V::fma(V::mul(r, r), p, r);
    return V::times_power_of_2(V::add(p, V::set1(1.0f)), n);
  }
};

}  // namespace bobby::cpu
