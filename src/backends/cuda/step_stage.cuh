#pragma once

// Rows of x in the shared memory of a block of the whole-step kernel: normalised where the product
// asks for it, in q15. A warp stores what it will read itself, so that nobody waits for others.

#include "backends/cuda/orders.cuh"
#include "backends/cuda/step_block.cuh"

namespace bobby::cuda {

__device__ inline unsigned low_bytes(unsigned a, unsigned b, unsigned c, unsigned d) {
  return __byte_perm(__byte_perm(a, b, 0x0040), __byte_perm(c, d, 0x0040), 0x5410);
}

/// Eight numbers of a group in q15, and what the group is multiplied by.
struct EightInQ15 {
  uint2 high, low;
  float2 scale;

  /// `bytes`: the group's 128.
  __device__ void put(unsigned char* bytes, float2* scale_at, int lane) const {
    const int u = lane % 8;
    unsigned char* to = bytes + u % 4 * 16 + u / 4 * 8;
    *reinterpret_cast<uint2*>(to) = high;
    *reinterpret_cast<uint2*>(to + 64) = low;
    if (u == 0) *scale_at = scale;
  }
};

/// Several groups side by side, since each is a chain of what the eight lanes of a group tell each
/// other.
template <int Count>
__device__ __forceinline__ void round_eights(const float (&x)[Count][8], EightInQ15 (&to)[Count]) {
  constexpr float kMagic =
      12582912.0f;  // 1.5 * 2^23: adding it rounds, and leaves q in the low bits
  unsigned most[Count] = {};
#pragma unroll
  for (int i = 0; i < Count; ++i)
#pragma unroll
    for (int d = 0; d < 8; ++d) most[i] = max(most[i], __float_as_uint(x[i][d]) & 0x7fffffffu);
#pragma unroll
  for (int offset = 4; offset > 0; offset /= 2)
#pragma unroll
    for (int i = 0; i < Count; ++i)
      most[i] = max(most[i], __shfl_xor_sync(0xffffffffu, most[i], offset));
  float scales[Count];
  int sums[Count];
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    const Q15 form = q15_of(__uint_as_float(most[i]), most[i] < 0x7f800000u);
    scales[i] = form.scale;
    unsigned q[8];
    sums[i] = 0;
#pragma unroll
    for (int d = 0; d < 8; ++d) {
      q[d] = __float_as_uint(x[i][d] * form.inverse + kMagic);
      sums[i] += static_cast<int>(q[d] - __float_as_uint(kMagic));
    }
    to[i].low = make_uint2(low_bytes(q[0], q[2], q[4], q[6]) & 0x7f7f7f7fu,
                           low_bytes(q[1], q[3], q[5], q[7]) & 0x7f7f7f7fu);
#pragma unroll
    for (int d = 0; d < 8; ++d) q[d] >>= 7;
    to[i].high = make_uint2(low_bytes(q[0], q[2], q[4], q[6]), low_bytes(q[1], q[3], q[5], q[7]));
  }
#pragma unroll
  for (int offset = 4; offset > 0; offset /= 2)
#pragma unroll
    for (int i = 0; i < Count; ++i) sums[i] += __shfl_xor_sync(0xffffffffu, sums[i], offset);
#pragma unroll
  for (int i = 0; i < Count; ++i)
    to[i].scale = make_float2(scales[i], scales[i] * static_cast<float>(sums[i]));
}

inline constexpr int kMostStretches = 3;  // of 4096 columns that a product has

/// This lane's eight columns of its warp's part `set` of a stretch.
__device__ inline int column_of(int stretch, int set, int warp, int lane) {
  return stretch * kNormStretch + (set * kReaderWarps + warp) * 256 + lane * 8;
}

/// A lane's columns of one row in one stretch.
struct OwnColumns {
  float x[kSets][8];

  /// By get(column, eight numbers); zero beyond the row's end.
  template <typename Get>
  __device__ void fill(int stretch, int cols, int warp, int lane, const Get& get) {
#pragma unroll
    for (int set = 0; set < kSets; ++set) {
      const int column = column_of(stretch, set, warp, lane);
      if (column < cols) {
        get(column, x[set]);
      } else {
#pragma unroll
        for (float& value : x[set]) value = 0.0f;
      }
    }
  }
  /// From memory that nobody writes during the step.
  __device__ void load(const float* row, int stretch, int cols, int warp, int lane) {
    fill(stretch, cols, warp, lane,
         [&](int column, float(&to)[8]) { load_eight(row + column, to); });
  }
  /// From a table in tile order.
  template <Element Type>
  __device__ void embed(const unsigned char* table, int token, int cols, int warp, int lane) {
    fill(0, cols, warp, lane, [&](int column, float(&to)[8]) {
      const TiledEight<Type> eight(table, cols, token, column);
#pragma unroll
      for (int d = 0; d < 8; ++d) to[d] = eight[d];
    });
  }
  /// What there is of a row that other blocks are making.
  __device__ void look(const float* row, int stretch, int cols, int warp, int lane) {
    fill(stretch, cols, warp, lane,
         [&](int column, float(&to)[8]) { look_at_eight(row + column, to); });
  }
  __device__ bool complete() const {
    bool set = true;
#pragma unroll
    for (int i = 0; i < kSets; ++i) set = set && all_set(x[i]);
    return set;
  }
  __device__ void scale(float factor, const OwnColumns& weight) {
#pragma unroll
    for (int set = 0; set < kSets; ++set)
#pragma unroll
      for (int d = 0; d < 8; ++d) x[set][d] = x[set][d] * factor * weight.x[set][d];
  }
};

/// Looks at one number in 32 of some stretches until they are there: then all of a row most likely
/// are, and no more has gone through the caches than had to.
template <int Stretches>
__device__ void await_row(const float* row, int cols, int warp, int lane) {
  bool missing;
  do {
    float value[Stretches][kSets];
#pragma unroll
    for (int s = 0; s < Stretches; ++s)
#pragma unroll
      for (int set = 0; set < kSets; ++set) {
        const int column = column_of(s, set, warp, lane);
        value[s][set] = lane % 4 == 3 && column < cols ? look(row + column + 7) : 0.0f;
      }
    missing = false;
#pragma unroll
    for (int s = 0; s < Stretches; ++s)
#pragma unroll
      for (int set = 0; set < kSets; ++set) missing = missing || !is_set(value[s][set]);
  } while (__any_sync(0xffffffffu, missing));
}

/// Rows or stretches that other blocks are making: this lane's columns of each.
template <int Count, typename Look>
__device__ void take(OwnColumns (&own)[Count], const Look& look) {
  bool complete;
  do {
    complete = true;
#pragma unroll
    for (int i = 0; i < Count; ++i) look(i);
#pragma unroll
    for (int i = 0; i < Count; ++i) complete = complete && own[i].complete();
  } while (!__all_sync(0xffffffffu, complete));
}

template <int Rows>
__device__ void put_eight(const Block<Rows>& block, const StepArgs& args, int row, int column,
                          int cols, const EightInQ15& eight) {
  const int group = column / kTileGroup;
  if (column < cols)
    eight.put(block.x_bytes() + (row * args.x_groups + group) * 128,
              block.x_scales(args) + row * (args.x_groups + 1) + group, block.lane());
}

/// A row's squares, as rms_norm() adds them: by warps.
template <int Rows>
__device__ void put_squares(const Block<Rows>& block, int row, const OwnColumns& own) {
#pragma unroll
  for (int set = 0; set < kSets; ++set) {
    const float squares = warp_sum(norm_squares(own.x[set], 0.0f));
    if (block.lane() == 0) block.shared().squares[row][set * kReaderWarps + block.warp()] = squares;
  }
}

template <int Rows>
__device__ float factor_of(const Block<Rows>& block, const StepArgs& args, int row) {
  return norm_factor(half_warp_sum(block.shared().squares[row][block.lane() % kTileParts]),
                     args.hidden, args.eps);
}

/// rms_norm(from) * weight of every row, `weight` this lane's columns of it; of the first product
/// of a step, of the tokens' embeddings.
template <int Rows, Element Type>
__device__ void stage_norm(const Block<Rows>& block, const StepArgs& args, const float* from,
                           bool first, const OwnColumns& weight) {
  const int cols = args.hidden;
  const int warp = block.warp();
  const int lane = block.lane();
  constexpr int kHeld = Rows <= 2 ? Rows : 2;  // more rows are read twice
  OwnColumns own[kHeld];
  if (!first) await_row<1>(from + (args.rows - 1) * cols, cols, warp, lane);
  const auto take_rows = [&](int r) {
    if (first) {
#pragma unroll
      for (int i = 0; i < kHeld; ++i)
        own[i].template embed<Type>(args.table, args.tokens[min(r + i, args.rows - 1)], cols, warp,
                                    lane);
    } else {
      take(own, [&](int i) {
        own[i].look(from + min(r + i, args.rows - 1) * cols, 0, cols, warp, lane);
      });
    }
  };
#pragma unroll
  for (int r = 0; r < Rows; r += kHeld) {
    if (r >= args.rows) break;
    take_rows(r);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) put_squares(block, min(r + i, args.rows - 1), own[i]);
  }
  meet(kAllReaders, kReaders);
#pragma unroll
  for (int r = 0; r < Rows; r += kHeld) {
    if (r >= args.rows) break;
    if (Rows > kHeld) take_rows(r);
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (r + i >= args.rows) break;
      own[i].scale(factor_of(block, args, r + i), weight);
      EightInQ15 eights[kSets];
      round_eights(own[i].x, eights);
#pragma unroll
      for (int set = 0; set < kSets; ++set)
        put_eight(block, args, r + i, column_of(0, set, warp, lane), cols, eights[set]);
    }
  }
  have_seen(block);
}

/// Parts `First` to `First + Count` of this warp of all rows as they are, counted through the
/// stretches.
template <int First, int Count, int Rows>
__device__ void stage_parts(const Block<Rows>& block, const StepArgs& args, const float* from,
                            int cols) {
  constexpr int kAtOnce = Count < 3 ? Count : 3;
  const int lane = block.lane();
  const auto column = [&](int i) {
    return column_of((First + i) / kSets, (First + i) % kSets, block.warp(), lane);
  };
  bool missing;
  do {  // as await_row() looks
    float last[Count];
#pragma unroll
    for (int i = 0; i < Count; ++i)
      last[i] = lane % 4 == 3 && column(i) < cols
                    ? look(from + (args.rows - 1) * cols + column(i) + 7)
                    : 0.0f;
    missing = false;
#pragma unroll
    for (int i = 0; i < Count; ++i) missing = missing || !is_set(last[i]);
  } while (__any_sync(0xffffffffu, missing));
#pragma unroll 1
  for (int r = 0; r < args.rows; ++r) {
    float x[Count][8];
    bool complete;
    do {
#pragma unroll
      for (int i = 0; i < Count; ++i) {
        if (column(i) < cols) {
          look_at_eight(from + r * cols + column(i), x[i]);
        } else {
#pragma unroll
          for (float& value : x[i]) value = 0.0f;
        }
      }
      complete = true;
#pragma unroll
      for (int i = 0; i < Count; ++i) complete = complete && all_set(x[i]);
    } while (!__all_sync(0xffffffffu, complete));
#pragma unroll
    for (int first = 0; first < Count; first += kAtOnce) {
      float some[kAtOnce][8] = {};
      EightInQ15 eights[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i)
#pragma unroll
        for (int d = 0; d < 8; ++d)
          if (first + i < Count) some[i][d] = x[first + i][d];
      round_eights(some, eights);
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i)
        if (first + i < Count) put_eight(block, args, r, column(first + i), cols, eights[i]);
    }
  }
}

/// All rows as they are. Where there are several stretches, the last part is apart: when the others
/// are rounded it may still be on its way.
template <int Rows>
__device__ void stage_plain(const Block<Rows>& block, const StepArgs& args, const float* from,
                            int cols, int stretches) {
  if (stretches == 1) {
    stage_parts<0, kSets>(block, args, from, cols);
  } else {
    stage_parts<0, kMostStretches * kSets - 1>(block, args, from, cols);
    stage_parts<kMostStretches * kSets - 1, 1>(block, args, from, cols);
  }
  have_seen(block);
}

}  // namespace bobby::cuda
