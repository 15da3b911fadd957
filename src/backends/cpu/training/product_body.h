#pragma once

// Products over a vector type V. The rule of ../ops/ops_body.h holds: builtins and templates over V
// only.
//
// Each element of c is one lane of one register: products are added to it along the depth, one
// after the other, from zero, a block of kDepthBlock at a time. How many rows and columns stand
// beside it in a tile so cannot change it.

#include <cstdint>

#include "backends/cpu/training/kernels.h"
#include "backends/cpu/training/training_vector.h"

namespace bobby::cpu {

template <typename V>
struct ProductBody {
  using T = typename V::Number;
  using Reg = typename V::Reg;
  static constexpr int kLanes = V::kLanes;
  /// What the registers hold: rows * vectors sums, the vectors of b, one number of a.
  static constexpr int kRows = V::kTileRows;
  static constexpr int kVectors = V::kTileVectors;
  static constexpr std::int64_t kCols = static_cast<std::int64_t>(kVectors) * kLanes;

  struct Tile {
    const T* a;
    std::int64_t a_row_stride;
    std::int64_t a_depth_stride;
    const T* b;
    std::int64_t b_stride;
    T* c;
    std::int64_t c_stride;
    std::int64_t depth;
    std::int64_t lanes;  ///< of the last vector
    bool add;
  };

  /// kWhole: the last vector is a whole one.
  template <int kTileRows, int kTileVectors, bool kWhole>
  static void tile(const Tile& t) {
    Reg sums[kTileRows][kTileVectors];
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) sums[r][v] = V::set1(0);
    const T* a = t.a;
    const T* b = t.b;
    for (std::int64_t k = 0; k < t.depth; ++k, a += t.a_depth_stride, b += t.b_stride) {
      Reg column[kTileVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v)
        column[v] = kWhole || v + 1 < kTileVectors ? V::load(b + v * kLanes)
                                                   : V::load_n(b + v * kLanes, t.lanes);
#pragma GCC unroll 16
      for (int r = 0; r < kTileRows; ++r) {
        const Reg x = V::set1(a[r * t.a_row_stride]);
#pragma GCC unroll 4
        for (int v = 0; v < kTileVectors; ++v) sums[r][v] = V::fma(x, column[v], sums[r][v]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) {
        T* c = t.c + r * t.c_stride + v * kLanes;
        const std::int64_t lanes = kWhole || v + 1 < kTileVectors ? kLanes : t.lanes;
        V::store_n(c, t.add ? V::add(V::load_n(c, lanes), sums[r][v]) : sums[r][v], lanes);
      }
  }

  template <int kTileRows, int kTileVectors>
  static void tile(const Tile& t) {
    if (t.lanes == kLanes)
      tile<kTileRows, kTileVectors, true>(t);
    else
      tile<kTileRows, kTileVectors, false>(t);
  }

  template <int kTileVectors, int kTileRows = kRows>
  static void tile_of(std::int64_t rows, const Tile& t) {
    if (rows == kTileRows) return tile<kTileRows, kTileVectors>(t);
    if constexpr (kTileRows > 1) tile_of<kTileVectors, kTileRows - 1>(rows, t);
  }

  /// One block of the depth, up to kCols columns, all rows.
  static void columns(const Product<T>& p, std::int64_t col, std::int64_t cols, std::int64_t begin,
                      std::int64_t depth) {
    const std::int64_t vectors = (cols + kLanes - 1) / kLanes;
    Tile t{.a = p.a + begin * p.a_depth_stride,
           .a_row_stride = p.a_row_stride,
           .a_depth_stride = p.a_depth_stride,
           .b = p.b + begin * p.b_stride + col,
           .b_stride = p.b_stride,
           .c = p.c + col,
           .c_stride = p.c_stride,
           .depth = depth,
           .lanes = cols - (vectors - 1) * kLanes,
           .add = p.add || begin > 0};
    for (std::int64_t row = 0; row < p.rows; row += kRows) {
      const std::int64_t rows = p.rows - row < kRows ? p.rows - row : kRows;
      if (vectors == kVectors)
        tile_of<kVectors>(rows, t);
      else
        tile_of<1>(rows, t);
      t.a += rows * p.a_row_stride;
      t.c += rows * p.c_stride;
    }
  }

  static void multiply(const Product<T>& p) {
    static_assert(kVectors <= 2);
    for (std::int64_t col = 0; col < p.cols; col += kCols)
      for (std::int64_t begin = 0; begin == 0 || begin < p.depth; begin += kDepthBlock) {
        const std::int64_t cols = p.cols - col < kCols ? p.cols - col : kCols;
        const std::int64_t rest = p.depth - begin;
        columns(p, col, cols, begin, rest < kDepthBlock ? rest : kDepthBlock);
      }
  }

  static void pack_transposed(const T* from, std::int64_t stride, std::int64_t rows,
                              std::int64_t depth, T* out) {
    std::int64_t row = 0;
    for (; row + 4 <= rows; row += 4) {
      std::int64_t k = 0;
      const T* source = from + row * stride;
      for (; k + 4 <= depth; k += 4)
        V::transpose4(source + k, stride, out + k * kPanelCols + row, kPanelCols);
      for (; k < depth; ++k)
        for (int r = 0; r < 4; ++r) out[k * kPanelCols + row + r] = source[r * stride + k];
    }
    for (std::int64_t k = 0; k < depth; ++k)
      for (std::int64_t r = row; r < rows; ++r) out[k * kPanelCols + r] = from[r * stride + k];
  }
};

}  // namespace bobby::cpu
