#pragma once

// A block of the whole-step kernel: its shared memory, its share of each product, x in q15,
// products.

#include "backends/cuda/head_attention.cuh"
#include "backends/cuda/orders.cuh"
#include "backends/cuda/step_ring.cuh"
#include "backends/cuda/tiled.cuh"

namespace bobby::cuda {

inline constexpr int kReaders = kNormThreads;       // threads that compute: 16 warps
inline constexpr int kStepThreads = kReaders + 64;  // and a warp for the ring, a warp for LoRA
/// Tiles whose partial sums wait for each other.
template <int Rows>
inline constexpr int kChunkTiles = Rows == 4 ? 4 : 6;
inline constexpr int kTileFloats = kTileParts * kTileRows;
inline constexpr int kMostDots = 8;

enum Barrier : int { kAllReaders = 1, kWriters = 2, kWithAdapters = 3 };

/// The matrices of a product as the blocks share them: block w of `workers` has the units
/// (tiles, or pairs of them) [units * w / workers, units * (w + 1) / workers).
struct Share {
  int begin = 0;
  int count = 0;
  __device__ Share(int units, int worker, int workers)
      : begin(units * worker / workers), count(units * (worker + 1) / workers - begin) {}
};

/// What the readers need to know of a layer.
struct LayerShared {
  const float* input_norm;
  const float* post_norm;
  const float* q_norm;
  const float* k_norm;
  unsigned char* kv;
};

/// Fixed parts of a block's shared memory, after the ring's slots.
template <int Rows>
struct StepShared {
  unsigned long long full[kStepSlots * 4];  // of the ring
  unsigned long long empty[kStepSlots * 4];
  float parts[2][kChunkTiles<Rows> * kTileFloats * Rows];  // [tile][part][row of tile][row of x]
  float deltas[2][kChunkTiles<Rows> * kTileRows * Rows];   // what adapters add to them
  float2 angles[Rows][kHeadDim / 2];
  float z[kMatrices * Rows * kStepMaxRank];
  float squares[Rows][kTileParts];
  float dots[2][kMostDots][kTileParts];
  LayerShared layers[2];           // this layer's and the next one's
  int2 shares[kStepProducts + 1];  // this block's tiles of each product: the first, how many
  int started;                     // products whose x is there, counted
  int last;                        // whether this block merges a row's chunks
};

/// The block's shared memory: StepShared, then rows of x and the ring where StepArgs says.
extern __shared__ __align__(128) unsigned char step_memory[];

/// A block as its threads see it. Nothing is kept in registers that can be found again: what would
/// not fit would go to local memory, which the first cache has no room for beside the ring.
template <int Rows>
struct Block {
  __device__ static StepShared<Rows>& shared() {
    return *reinterpret_cast<StepShared<Rows>*>(step_memory);
  }
  /// [rows, groups] of 128: hi, lo
  __device__ static unsigned char* x_bytes() {
    return step_memory + (sizeof(StepShared<Rows>) + 127) / 128 * 128;
  }
  /// [rows, groups + 1]
  __device__ static float2* x_scales(const StepArgs& args) {
    return reinterpret_cast<float2*>(step_memory + args.x_scales_at);
  }
  /// [rows, own columns]: this block's columns of the residual stream
  __device__ static float* own_x(const StepArgs& args) {
    return reinterpret_cast<float*>(step_memory + args.own_x_at);
  }
  __device__ static Ring ring(const StepArgs& args) {
    return {step_memory + args.ring_at, shared().full, shared().empty, args.slots};
  }
  /// `when`: any number that differs from one use to the next. The compiler cannot know that the
  /// thread is the same, and so does not keep what it computes from it.
  __device__ explicit Block(int when) {
    asm("mov.u32 %0, %%tid.x;  // %1" : "=r"(thread_) : "r"(when));
    asm("mov.u32 %0, %%ctaid.x;  // %1" : "=r"(worker_) : "r"(when));
  }
  __device__ int thread() const { return static_cast<int>(thread_); }
  __device__ int worker() const { return static_cast<int>(worker_); }
  __device__ int warp() const { return static_cast<int>(thread_ / 32); }
  __device__ int lane() const { return static_cast<int>(thread_ % 32); }

  /// All readers, once `counter` has reached `target`.
  __device__ void wait(const unsigned* counter, unsigned target) const {
    if (thread_ == 0) wait_for(counter, target);
    meet(kAllReaders, kReaders);
  }

 private:
  unsigned thread_;
  unsigned worker_;
};

// --- x in q15 --------------------------------------------------------------------------------

__device__ inline unsigned low_bytes(unsigned a, unsigned b, unsigned c, unsigned d) {
  return __byte_perm(__byte_perm(a, b, 0x0040), __byte_perm(c, d, 0x0040), 0x5410);
}

/// Eight lanes' 64 numbers, a group, into shared memory if `inside`. `bytes`: the group's 128. All
/// lanes of a warp together.
__device__ inline void put_group(const float (&x)[8], unsigned char* bytes, float2* scale, int lane,
                                 bool inside) {
  constexpr float kMagic =
      12582912.0f;  // 1.5 * 2^23: adding it rounds, and leaves q in the low bits
  unsigned most = 0;
#pragma unroll
  for (int d = 0; d < 8; ++d) most = max(most, __float_as_uint(x[d]) & 0x7fffffffu);
#pragma unroll
  for (int offset = 4; offset > 0; offset /= 2)
    most = max(most, __shfl_xor_sync(0xffffffffu, most, offset));
  const Q15 form = q15_of(__uint_as_float(most), most < 0x7f800000u);
  unsigned q[8];
  int sum = 0;
#pragma unroll
  for (int d = 0; d < 8; ++d) {
    q[d] = __float_as_uint(x[d] * form.inverse + kMagic);
    sum += static_cast<int>(q[d] - __float_as_uint(kMagic));
  }
#pragma unroll
  for (int offset = 4; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  uint2 low = make_uint2(low_bytes(q[0], q[2], q[4], q[6]), low_bytes(q[1], q[3], q[5], q[7]));
#pragma unroll
  for (int d = 0; d < 8; ++d) q[d] >>= 7;
  const uint2 high =
      make_uint2(low_bytes(q[0], q[2], q[4], q[6]), low_bytes(q[1], q[3], q[5], q[7]));
  low.x &= 0x7f7f7f7fu;
  low.y &= 0x7f7f7f7fu;
  if (!inside) return;
  const int u = lane % 8;
  unsigned char* to = bytes + u % 4 * 16 + u / 4 * 8;
  *reinterpret_cast<uint2*>(to) = high;
  *reinterpret_cast<uint2*>(to + 64) = low;
  if (u == 0) *scale = make_float2(form.scale, form.scale * static_cast<float>(sum));
}

/// This lane's place in a row of x: its warp's part of stretch s.
__device__ inline int column_of(int s, int warp, int lane) {
  return s * kNormStretch + warp * 256 + lane * 8;
}

template <int Rows>
__device__ void put_x(const Block<Rows>& block, const StepArgs& args, int row, int column,
                      int groups, int cols, const float (&x)[8]) {
  const int group = column / kTileGroup;
  put_group(x, block.x_bytes() + (row * groups + group) * 128,
            block.x_scales(args) + row * (groups + 1) + group, block.lane(), column < cols);
}

/// Rows of `from` [rows, cols] in q15; with `norm`, of rms_norm(from) * weight, `weight` this
/// lane's eight of it. Each warp stores what it will read.
template <int Rows>
__device__ void stage(const Block<Rows>& block, const StepArgs& args, const float* from, int cols,
                      bool norm, const float (&weight)[8]) {
  constexpr int kAtOnce = Rows == 1 ? 3 : 1;
  const int groups = cols / kTileGroup;
  for (int first = 0; first * kNormStretch < cols; first += kAtOnce) {
    float x[kAtOnce][Rows][8] = {};
#pragma unroll
    for (int s = 0; s < kAtOnce; ++s)
#pragma unroll
      for (int r = 0; r < Rows; ++r) {
        const int column = column_of(first + s, block.warp(), block.lane());
        if (column < cols && r < args.rows) load_eight(from + r * cols + column, x[s][r]);
      }
    if (norm) {
#pragma unroll
      for (int r = 0; r < Rows; ++r) {
        const float squares = warp_sum(norm_squares(x[0][r], 0.0f));
        if (block.lane() == 0) block.shared().squares[r][block.warp()] = squares;
      }
      meet(kAllReaders, kReaders);
#pragma unroll
      for (int r = 0; r < Rows; ++r) {
        const float squares = half_warp_sum(block.shared().squares[r][block.lane() % 16]);
        const float factor = norm_factor(squares, cols, args.eps);
#pragma unroll
        for (int d = 0; d < 8; ++d) x[0][r][d] = x[0][r][d] * factor * weight[d];
      }
    }
#pragma unroll
    for (int s = 0; s < kAtOnce; ++s)
#pragma unroll
      for (int r = 0; r < Rows; ++r) {
        const int column = column_of(first + s, block.warp(), block.lane());
        if (column_of(first + s, block.warp(), 0) < cols)
          put_x(block, args, r, column, groups, cols, x[s][r]);
      }
  }
  __syncwarp();
}

// --- products --------------------------------------------------------------------------------

__device__ inline uint4 read_words(unsigned address) {
  uint4 words;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "r"(address));
  return words;
}

__device__ inline uint2 read_pair(unsigned address) {
  uint2 pair;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(pair.x), "=r"(pair.y) : "r"(address));
  return pair;
}

/// This lane's share of x for some groups: fragments of B, and of row t scales and sums.
template <int Count>
struct OfX {
  uint4 bytes[Count];
  float2 scales[Count];

  __device__ OfX(unsigned from, unsigned scales_from) {
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      bytes[i] = read_words(from + i * 128);
      const uint2 pair = read_pair(scales_from + i * 8);
      scales[i] = make_float2(__uint_as_float(pair.x), __uint_as_float(pair.y));
    }
  }
};

/// This lane's words of some groups of a tile, and scales and biases of the rows quad and quad + 8.
template <int Count>
struct OfTile {
  uint4 words[Count];
  uint2 pairs[Count];

  __device__ OfTile(unsigned words_at, unsigned pairs_at) {
#pragma unroll
    for (int i = 0; i < Count; ++i) words[i] = read_words(words_at + i * kTileRecordBytes);
#pragma unroll
    for (int i = 0; i < Count; ++i) pairs[i] = read_pair(pairs_at + i * kTileRecordBytes);
  }
};

/// What they add to the sums of the rows quad and quad + 8, row t of x. `first`: of the groups of
/// x.
template <int Count, Element Type, int All>
__device__ __forceinline__ void multiply_groups(const OfTile<Count>& tile, const OfX<All>& x,
                                                int first, float (&sums)[2]) {
  constexpr int kMagicBits = 0x4B400000;  // of 1.5 * 2^23: the sum is then a float as it stands
  constexpr float kMagic = 12582912.0f;
  int c[Count][4];
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    const Levels levels(tile.words[i]);
#pragma unroll
    for (int& number : c[i]) number = kMagicBits;
    multiply_tile(c[i], levels.first, x.bytes[first + i].x, x.bytes[first + i].y);
    multiply_tile(c[i], levels.second, x.bytes[first + i].z, x.bytes[first + i].w);
  }
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    float products[2];
#pragma unroll
    for (int k = 0; k < 2; ++k)
      products[k] = fmaf(__int_as_float(c[i][2 * k]) - kMagic, 128.0f,
                         __int_as_float(c[i][2 * k + 1]) - kMagic);
    sums[0] =
        add_group(sums[0], products[0], scale_and_bias<Type>(tile.pairs[i].x), x.scales[first + i]);
    sums[1] =
        add_group(sums[1], products[1], scale_and_bias<Type>(tile.pairs[i].y), x.scales[first + i]);
  }
}

/// What multiply_tiles() reads and writes: addresses in shared memory.
struct TileWork {
  unsigned data, full, empty;  // of the ring
  unsigned x_bytes, x_scales;
  unsigned parts;
  int slots;
  int groups;
  int tiles;
};

/// The next tiles of the ring, a stretch of 4096 columns after the other: this warp's part of each
/// into `parts`.
template <int Rows, Element Type>
__device__ __forceinline__ Cursor multiply_tiles(TileWork work, Cursor cursor) {
  const unsigned lane = threadIdx.x % 32;
  const unsigned warp = threadIdx.x / 32;
  const unsigned quad = lane / 4;
  const unsigned t = lane % 4;
  const unsigned own = warp / 4 * kQuarterBytes + warp % 4 * kTilePartGroups * kTileRecordBytes;
  const unsigned words_at = work.data + own + lane * 16;
  const unsigned pairs_at = work.data + own + kTileLevelBytes + quad * 8;
  const unsigned barrier = warp / 4 * 8;
  const unsigned to = work.parts + ((warp * kTileRows + quad) * Rows + t) * 4;
#pragma unroll 1
  for (int first = 0; first < work.groups; first += kTileParts * kTilePartGroups) {
    const int group = first + static_cast<int>(warp) * kTilePartGroups;
    const int count = work.groups - group;
    const unsigned x_row = min(quad / 2, Rows - 1u);
    const unsigned bytes =
        work.x_bytes + (x_row * work.groups + group) * 128 + quad % 2 * 64 + t * 16;
    const unsigned scales = work.x_scales + (min(t, Rows - 1u) * (work.groups + 1) + group) * 8;
    const auto each_tile = [&](const auto& multiply_one) {
      unsigned sums_at = to;
#pragma unroll 1
      for (int i = 0; i < work.tiles; ++i, sums_at += kTileFloats * Rows * 4) {
        float sums[2] = {};
        if (first > 0 && t < Rows)
          asm volatile("ld.shared.f32 %0, [%2]; ld.shared.f32 %1, [%2 + %3];"
                       : "=f"(sums[0]), "=f"(sums[1])
                       : "r"(sums_at), "n"(8 * Rows * 4));
        wait_phase(work.full + barrier + cursor.slot * 32, cursor.phase);
        // The slot is released as soon as it has been read: nothing of it is used after that.
        multiply_one(cursor.slot * kSlotBytes, sums, [&] {
          __syncwarp();
          if (lane == 0)
            asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(work.empty + barrier +
                                                                          cursor.slot * 32)
                         : "memory");
        });
        cursor.next(work.slots);
        if (t < Rows)
          asm volatile("st.shared.f32 [%2], %0; st.shared.f32 [%2 + %3], %1;" ::"f"(sums[0]),
                       "f"(sums[1]), "r"(sums_at), "n"(8 * Rows * 4)
                       : "memory");
      }
    };
    if (count >= kTilePartGroups) {
      const OfX<kTilePartGroups> x(bytes, scales);
      each_tile([&](unsigned at, float(&sums)[2], const auto& release) {
        // Two at a time: all four would take more registers than there are.
        multiply_groups<2, Type>(OfTile<2>(words_at + at, pairs_at + at), x, 0, sums);
        const OfTile<2> rest(words_at + at + 2 * kTileRecordBytes,
                             pairs_at + at + 2 * kTileRecordBytes);
        release();
        multiply_groups<2, Type>(rest, x, 2, sums);
      });
    } else {
      each_tile([&](unsigned at, float(&sums)[2], const auto& release) {
#pragma unroll 1
        for (int k = 0; k < count; ++k, at += kTileRecordBytes)
          multiply_groups<1, Type>(OfTile<1>(words_at + at, pairs_at + at),
                                   OfX<1>(bytes + k * 128, scales + k * 8), 0, sums);
        release();
      });
    }
  }
  return cursor;
}

/// Output `index` ([tile][row of tile][row of x]) of a chunk: its parts in the promised order.
template <int Rows>
__device__ float sum_parts(const float* parts, int index) {
  constexpr int kOutputs = kTileRows * Rows;
  const float* from = parts + index / kOutputs * kTileFloats * Rows + index % kOutputs;
  float sum[kTileParts];
#pragma unroll
  for (int p = 0; p < kTileParts; ++p) sum[p] = from[p * kOutputs];
#pragma unroll
  for (int half = kTileParts / 2; half > 0; half /= 2)
#pragma unroll
    for (int p = 0; p < half; ++p) sum[p] += sum[p + half];
  return sum[0];
}

}  // namespace bobby::cuda
