#pragma once

// What the kernels ask of a vector type, in the compiler's own vectors of four floats: SSE2 on
// x86-64. `_n` functions touch `lanes` elements, 1 .. kLanes, and read zeros beyond.
// min and max return their second argument when either is NaN, as the x86 instructions do.

#include <cstdint>
#include <cstring>

#include "tensor/half.h"

namespace bobby::cpu {

struct VectorPortable {
  typedef float Reg __attribute__((vector_size(16)));
  typedef std::int32_t Ints __attribute__((vector_size(16)));
  static constexpr int kLanes = 4;
  static constexpr int kQueries = 2;  // that attention takes at once: as the registers allow

  static Reg set1(float x) { return Reg{x, x, x, x}; }
  static Reg load(const float* from) {
    Reg v;
    std::memcpy(&v, from, sizeof v);
    return v;
  }
  static void store(float* to, Reg v) { std::memcpy(to, &v, sizeof v); }
  static Reg load_n(const float* from, std::int64_t lanes) {
    if (lanes == kLanes) return load(from);
    Reg v = set1(0);
    for (int i = 0; i < kLanes; ++i)
      if (i < lanes) v[i] = from[i];
    return v;
  }
  static void store_n(float* to, Reg v, std::int64_t lanes) {
    if (lanes == kLanes) return store(to, v);
    for (int i = 0; i < kLanes; ++i)
      if (i < lanes) to[i] = v[i];
  }
  /// The half's exponent and fraction put where fp32 has them are the number times 2^-112, exactly,
  /// subnormals included; infinity and NaN then want their exponent back.
  static Reg load_half_n(const std::uint16_t* from, std::int64_t lanes) {
    Ints bits = {0, 0, 0, 0};
    for (int i = 0; i < kLanes; ++i)
      if (i < lanes) bits[i] = from[i];
    const Ints magnitude_bits = (bits & 0x7fff) << 13;
    Reg magnitude;
    std::memcpy(&magnitude, &magnitude_bits, sizeof magnitude);
    magnitude = magnitude * 0x1p112f;
    Ints result;
    std::memcpy(&result, &magnitude, sizeof result);
    result |= ((bits & 0x7c00) == 0x7c00) & 0x7f800000;
    result |= (bits & 0x8000) << 16;
    Reg v;
    std::memcpy(&v, &result, sizeof v);
    return v;
  }
  static void store_half_n(std::uint16_t* to, Reg v, std::int64_t lanes) {
    for (int i = 0; i < kLanes; ++i)
      if (i < lanes) to[i] = float_to_f16(v[i]);
  }

  static Reg load_int8_n(const std::int8_t* from, std::int64_t lanes) {
    Ints whole = {0, 0, 0, 0};
    for (int i = 0; i < kLanes; ++i)
      if (i < lanes) whole[i] = from[i];
    return __builtin_convertvector(whole, Reg);
  }
  /// Whole numbers in -127 .. 127.
  static void store_int8_n(std::int8_t* to, Reg v, std::int64_t lanes) {
    for (int i = 0; i < kLanes; ++i)
      if (i < lanes) to[i] = static_cast<std::int8_t>(v[i]);
  }

  static Reg add(Reg a, Reg b) { return a + b; }
  static Reg sub(Reg a, Reg b) { return a - b; }
  static Reg mul(Reg a, Reg b) { return a * b; }
  static Reg div(Reg a, Reg b) { return a / b; }
  static Reg fma(Reg a, Reg b, Reg c) { return a * b + c; }  // two roundings here
  static Reg max(Reg a, Reg b) { return a > b ? a : b; }
  static Reg min(Reg a, Reg b) { return a < b ? a : b; }

  static float sum(Reg v) { return (v[0] + v[2]) + (v[1] + v[3]); }
  /// out[i] = the sum of v[i]'s lanes, each in the same order.
  static void sum4(const Reg (&v)[4], float* out) {
    const Reg ab = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5) +
                   __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
    const Reg cd = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5) +
                   __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
    store(out, __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
                   __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
  }
  /// How many are beyond +-limit.
  static std::int64_t count_beyond(Reg v, float limit) {
    const Ints beyond = (v > set1(limit)) | (v < set1(-limit));
    return -static_cast<std::int64_t>(beyond[0] + beyond[1] + beyond[2] + beyond[3]);
  }
  static float largest(Reg v) {
    const float even = v[0] > v[2] ? v[0] : v[2];
    const float odd = v[1] > v[3] ? v[1] : v[3];
    return even > odd ? even : odd;
  }
  static float first(Reg v) { return v[0]; }

  /// To the nearest whole number, for |x| < 2^22: the sum has no room for a fraction.
  static Reg round(Reg x) {
    const Reg magic = set1(0x1.8p23f);
    return (x + magic) - magic;
  }
  /// x * 2^n for a whole n in [-252, 254], in two steps so that each factor is a normal number.
  static Reg times_power_of_2(Reg x, Reg n) {
    const Ints whole = __builtin_convertvector(n, Ints);
    const Ints half = whole >> 1;
    const Ints first_bits = (half + 127) << 23;
    const Ints second_bits = (whole - half + 127) << 23;
    Reg first_factor;
    Reg second_factor;
    std::memcpy(&first_factor, &first_bits, sizeof first_factor);
    std::memcpy(&second_factor, &second_bits, sizeof second_factor);
    return x * first_factor * second_factor;
  }
};

}  // namespace bobby::cpu
