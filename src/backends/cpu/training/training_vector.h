#pragma once

// What the kernels of training ask of a vector type besides ../ops/vector_portable.h: the type of
// its numbers, the tile of a product that its registers hold, a transpose of 4 x 4. And a "vector"
// of one double.

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bobby::cpu {

template <typename Base, int kRows>
struct TrainingVector : Base {
  using Number = float;
  static constexpr int kTileRows = kRows;
  static constexpr int kTileVectors = 2;

  /// to[j * to_stride + i] = from[i * from_stride + j] for i and j below 4.
  static void transpose4(const float* from, std::int64_t from_stride, float* to,
                         std::int64_t to_stride) {
    typedef float Four __attribute__((vector_size(16)));
    Four row[4];
    for (int i = 0; i < 4; ++i) std::memcpy(&row[i], from + i * from_stride, sizeof row[i]);
    const Four low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
    const Four low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    const Four high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
    const Four high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    const Four column[4] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                            __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                            __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                            __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
    for (int j = 0; j < 4; ++j) std::memcpy(to + j * to_stride, &column[j], sizeof column[j]);
  }
};

/// Four lanes of the compiler's own vectors; Base is VectorPortable or an improvement on it.
/// load_levels4 and load_levels8, which every vector type of training has, read kLanes levels of 4
/// or 8 bits as numbers.
template <typename Base, int kRows>
struct FourLanes : TrainingVector<Base, kRows> {
  using Reg = typename Base::Reg;
  static Reg load_levels4(const std::byte* packed) {
    std::uint8_t bytes[2];
    std::memcpy(bytes, packed, sizeof bytes);
    const typename Base::Ints levels = {bytes[0] & 15, bytes[0] >> 4, bytes[1] & 15, bytes[1] >> 4};
    return __builtin_convertvector(levels, Reg);
  }
  static Reg load_levels8(const std::byte* packed) {
    std::uint8_t bytes[4];
    std::memcpy(bytes, packed, sizeof bytes);
    const typename Base::Ints levels = {bytes[0], bytes[1], bytes[2], bytes[3]};
    return __builtin_convertvector(levels, Reg);
  }
};

struct VectorDouble {
  using Number = double;
  using Reg = double;
  static constexpr int kLanes = 1;
  static constexpr int kTileRows = 4;
  static constexpr int kTileVectors = 2;

  static Reg set1(double x) { return x; }
  static Reg load(const double* from) { return *from; }
  static void store(double* to, Reg v) { *to = v; }
  static Reg load_n(const double* from, std::int64_t) { return *from; }
  static void store_n(double* to, Reg v, std::int64_t) { *to = v; }
  static Reg add(Reg a, Reg b) { return a + b; }
  static Reg sub(Reg a, Reg b) { return a - b; }
  static Reg mul(Reg a, Reg b) { return a * b; }
  static Reg div(Reg a, Reg b) { return a / b; }
  static Reg fma(Reg a, Reg b, Reg c) { return a * b + c; }
  static Reg max(Reg a, Reg b) { return a > b ? a : b; }
  static double sum(Reg v) { return v; }
  static double largest(Reg v) { return v; }
  static Reg exp_of(Reg x) { return __builtin_exp(x); }

  static void transpose4(const double* from, std::int64_t from_stride, double* to,
                         std::int64_t to_stride) {
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) to[j * to_stride + i] = from[i * from_stride + j];
  }
};

}  // namespace bobby::cpu
