#pragma once

// What is done to one row, over a vector type V. The rule of ../ops/ops_body.h holds: builtins and
// templates over V only.

#include <cstdint>

#include "backends/cpu/ops/vector_math.h"
#include "backends/cpu/training/training_vector.h"

namespace bobby::cpu {

template <typename V>
struct RowBody {
  using T = typename V::Number;
  using Reg = typename V::Reg;
  static constexpr std::int64_t kLanes = V::kLanes;

  static Reg exp_of(Reg x) {
    if constexpr (requires { V::exp_of(x); })
      return V::exp_of(x);
    else
      return VectorMath<V>::exp_of(x);
  }

  static T root_of(T x) {
    if constexpr (sizeof(T) == sizeof(double))
      return __builtin_sqrt(x);
    else
      return __builtin_sqrtf(x);
  }

  template <typename F>
  static void for_each_vector(std::int64_t count, const F& f) {
    VectorMath<V>::for_each_vector(count, f);
  }

  /// The sum of f(first, lanes) in four running sums.
  template <typename F>
  static T sum_of(std::int64_t count, const F& f) {
    Reg sums[4] = {V::set1(0), V::set1(0), V::set1(0), V::set1(0)};
    std::int64_t i = 0;
    for (; i + 4 * kLanes <= count; i += 4 * kLanes)
      for (int j = 0; j < 4; ++j) sums[j] = f(i + j * kLanes, kLanes, sums[j]);
    for_each_vector(
        count - i, [&](std::int64_t k, std::int64_t lanes) { sums[0] = f(i + k, lanes, sums[0]); });
    return V::sum(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
  }

  static T dot(const T* x, const T* y, std::int64_t count) {
    return sum_of(count, [&](std::int64_t i, std::int64_t lanes, Reg sum) {
      return V::fma(V::load_n(x + i, lanes), V::load_n(y + i, lanes), sum);
    });
  }

  static void rms_norm(const T* x, const T* weight, std::int64_t cols, T eps, T* out) {
    const Reg factor = V::set1(1 / root_of(dot(x, x, cols) / static_cast<T>(cols) + eps));
    for_each_vector(cols, [&](std::int64_t i, std::int64_t lanes) {
      const Reg v = V::mul(V::load_n(x + i, lanes), factor);
      V::store_n(out + i, V::mul(v, V::load_n(weight + i, lanes)), lanes);
    });
  }

  /// With f = 1 / sqrt(mean(x^2) + eps) and g = weight * out_gradient:
  /// x_gradient += f * g - x * f^3 * sum(g * x) / cols
  static void rms_norm_backward(const T* x, const T* weight, const T* out_gradient,
                                std::int64_t cols, T eps, T* x_gradient) {
    const T factor = 1 / root_of(dot(x, x, cols) / static_cast<T>(cols) + eps);
    const T along = sum_of(cols, [&](std::int64_t i, std::int64_t lanes, Reg sum) {
      const Reg g = V::mul(V::load_n(weight + i, lanes), V::load_n(out_gradient + i, lanes));
      return V::fma(g, V::load_n(x + i, lanes), sum);
    });
    const Reg f = V::set1(factor);
    const Reg back = V::set1(-factor * factor * factor * along / static_cast<T>(cols));
    for_each_vector(cols, [&](std::int64_t i, std::int64_t lanes) {
      const Reg g = V::mul(V::load_n(weight + i, lanes), V::load_n(out_gradient + i, lanes));
      const Reg change = V::fma(V::load_n(x + i, lanes), back, V::mul(f, g));
      V::store_n(x_gradient + i, V::add(V::load_n(x_gradient + i, lanes), change), lanes);
    });
  }

  static void rotate(const T* head, const T* cosines, const T* sines, T direction,
                     std::int64_t half, T* out) {
    const Reg sign = V::set1(direction);
    for_each_vector(half, [&](std::int64_t i, std::int64_t lanes) {
      const Reg cosine = V::load_n(cosines + i, lanes);
      const Reg sine = V::mul(sign, V::load_n(sines + i, lanes));
      const Reg first = V::load_n(head + i, lanes);
      const Reg second = V::load_n(head + half + i, lanes);
      V::store_n(out + i, V::sub(V::mul(first, cosine), V::mul(second, sine)), lanes);
      V::store_n(out + half + i, V::add(V::mul(second, cosine), V::mul(first, sine)), lanes);
    });
  }

  static Reg sigmoid(Reg x) {
    const Reg one = V::set1(1);
    return V::div(one, V::add(one, exp_of(V::sub(V::set1(0), x))));
  }

  static void swiglu(const T* gate, const T* up, std::int64_t count, T* out) {
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg g = V::load_n(gate + i, lanes);
      V::store_n(out + i, V::mul(V::mul(g, sigmoid(g)), V::load_n(up + i, lanes)), lanes);
    });
  }

  /// With s = sigmoid(gate): the derivative of silu is s * (1 + gate * (1 - s)).
  static void swiglu_backward(const T* gate, const T* up, const T* out_gradient, std::int64_t count,
                              T* gate_gradient, T* up_gradient) {
    const Reg one = V::set1(1);
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg g = V::load_n(gate + i, lanes);
      const Reg d = V::load_n(out_gradient + i, lanes);
      const Reg s = sigmoid(g);
      const Reg slope = V::mul(s, V::fma(g, V::sub(one, s), one));
      V::store_n(gate_gradient + i, V::mul(V::mul(d, V::load_n(up + i, lanes)), slope), lanes);
      V::store_n(up_gradient + i, V::mul(d, V::mul(g, s)), lanes);
    });
  }

  static T largest_of(const T* x, std::int64_t count) {
    Reg most = V::set1(x[0]);
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) most = V::max(most, V::load(x + i));
    T largest = V::largest(most);
    for (; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
    return largest;
  }

  static T exponentials(T* x, std::int64_t count, T scale, T* largest) {
    *largest = largest_of(x, count) * scale;
    const Reg factor = V::set1(scale);
    const Reg shift = V::set1(*largest);
    // Beyond a row's end a vector's e^x is not zero, so its sum is taken from what was stored.
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg value = V::sub(V::mul(V::load_n(x + i, lanes), factor), shift);
      V::store_n(x + i, exp_of(value), lanes);
    });
    return sum_of(count, [&](std::int64_t i, std::int64_t lanes, Reg sum) {
      return V::add(sum, V::load_n(x + i, lanes));
    });
  }

  static void scale(T* x, std::int64_t count, T factor) {
    const Reg f = V::set1(factor);
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      V::store_n(x + i, V::mul(V::load_n(x + i, lanes), f), lanes);
    });
  }

  static void add(T* x, const T* y, std::int64_t count) {
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      V::store_n(x + i, V::add(V::load_n(x + i, lanes), V::load_n(y + i, lanes)), lanes);
    });
  }

  static void multiply_by(T* x, const T* y, std::int64_t count) {
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      V::store_n(x + i, V::mul(V::load_n(x + i, lanes), V::load_n(y + i, lanes)), lanes);
    });
  }

  static void softmax_backward(const T* weights, std::int64_t count, T scale, T* gradient) {
    const Reg along = V::set1(dot(weights, gradient, count));
    const Reg factor = V::set1(scale);
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg change = V::sub(V::load_n(gradient + i, lanes), along);
      const Reg weight = V::mul(factor, V::load_n(weights + i, lanes));
      V::store_n(gradient + i, V::mul(weight, change), lanes);
    });
  }
};

}  // namespace bobby::cpu
