#pragma once

// Adapters in the whole-step kernel: the spare blocks multiply the rows of A while the others
// stream, a warp of each of the others multiplies its rows of B.

#include "backends/cuda/step_block.cuh"

namespace bobby::cuda {

/// Numbers of a row of A that a quarter of a slot holds: those of its four warps.
inline constexpr int kQuarterFloats = 1024;

__device__ inline int product_cols(const StepArgs& args, int product) {
  return product == kStepO      ? args.heads * kHeadDim
         : product == kStepDown ? args.intermediate
                                : args.hidden;
}

/// Calls run(layer, product, its first dot, how many) for the share of spare block `spare`.
template <typename Run>
__device__ void each_share_of_dots(const StepArgs& args, int spare, const Run& run) {
  for (int i = 0; i < args.layer_count * kStepProducts; ++i) {
    const int begin = args.adapters.dots_begin[i];
    const Share share(args.adapters.dots_begin[i + 1] - begin, spare, args.spares);
    if (share.count > 0)
      run(i / kStepProducts, i % kStepProducts, begin + share.begin, share.count);
  }
}

/// The thread that fills a spare block's ring.
__device__ inline void write_dots(const StepArgs& args, const Ring& ring, int spare) {
  RingWriter writer(ring, args.in_flight);
  each_share_of_dots(args, spare, [&](int, int product, int first, int count) {
    const int cols = product_cols(args, product);
    for (int i = first; i < first + count; ++i) {
      const float* a = args.adapters.dots[i].a;
      for (int at = 0; at < (cols + kNormStretch - 1) / kNormStretch * kNormStretch;
           at += kQuarterFloats)
        writer.put(reinterpret_cast<const unsigned char*>(a + at),
                   max(0, min(kQuarterFloats, cols - at)) * 4, true);
    }
  });
}

/// When x of a product is there.
__device__ inline void wait_for_x(const StepArgs& args, int layer, int product) {
  const unsigned layers = static_cast<unsigned>(args.layer_count);
  const unsigned done = args.step * layers + static_cast<unsigned>(layer);  // layers before this
  const unsigned workers = static_cast<unsigned>(args.workers);
  const auto counter = [&](int i) { return args.counters + i * StepCounters::kStride; };
  switch (product) {
    case kStepQkv: return wait_for(counter(StepCounters::kX), workers * (2 * done + args.step + 1));
    case kStepO:
      return wait_for(counter(StepCounters::kAttention),
                      static_cast<unsigned>(args.rows * args.heads) * (done + 1));
    case kStepGateUp:
      return wait_for(counter(StepCounters::kX), workers * (2 * done + args.step + 2));
    case kStepDown: return wait_for(counter(StepCounters::kActivation), workers * (done + 1));
    default: return wait_for(counter(StepCounters::kX), workers * (2 * done + args.step + 1));
  }
}

/// One row of x in a block's registers: thread i has the numbers of norm_squares()'s order.
template <int Rows>
__device__ void load_row(const Block<Rows>& block, const StepArgs& args, int layer, int product,
                         int row, float (&x)[3][8]) {
  const int cols = product_cols(args, product);
  const float* from = product == kStepO      ? args.attention
                      : product == kStepDown ? args.activation
                                             : args.x;
#pragma unroll
  for (int s = 0; s < 3; ++s) {
    const int column = column_of(s, block.warp(), block.lane());
    if (column < cols) load_eight(from + row * cols + column, x[s]);
  }
  if (product == kStepO || product == kStepDown) return;
  const float* norm =
      product == kStepQkv ? args.layers[layer].input_norm : args.layers[layer].post_norm;
  const int column = column_of(0, block.warp(), block.lane());
  float weight[8] = {};
  if (column < cols) {
    load_eight(norm + column, weight);
  } else {
#pragma unroll
    for (int d = 0; d < 8; ++d) x[0][d] = 0.0f;
  }
  const float squares = warp_sum(norm_squares(x[0], 0.0f));
  if (block.lane() == 0) block.shared().squares[0][block.warp()] = squares;
  meet(kAllReaders, kReaders);
  const float factor = norm_factor(half_warp_sum(block.shared().squares[0][block.lane() % 16]),
                                   args.hidden, args.eps);
  meet(kAllReaders, kReaders);
#pragma unroll
  for (int d = 0; d < 8; ++d) x[0][d] = x[0][d] * factor * weight[d];
}

/// Eight numbers of a row of A in the ring; half of the lanes start with the second four, so that
/// no two of a phase ask the same bank.
__device__ inline void read_eight(const unsigned char* from, int lane, float (&to)[8]) {
  const float4* at = reinterpret_cast<const float4*>(from) + (lane % 32) * 2;
  const bool swap = lane % 8 >= 4;
  const float4 one = at[swap ? 1 : 0];
  const float4 two = at[swap ? 0 : 1];
  const float4 low = swap ? two : one;
  const float4 high = swap ? one : two;
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

template <int Rows>
__device__ void multiply_dots(const Block<Rows>& block, const StepArgs& args, int spare) {
  Cursor cursor;
  int parity = 0;
  each_share_of_dots(args, spare, [&](int layer, int product, int first, int count) {
    const int cols = product_cols(args, product);
    if (block.thread() == 0) wait_for_x(args, layer, product);
    meet(kAllReaders, kReaders);
    int row = -1;
    float x[3][8];
    for (int begin = first; begin < first + count; begin += kMostDots) {
      const int some = min(kMostDots, first + count - begin);
      for (int i = 0; i < some; ++i) {
        const StepDot& dot = args.adapters.dots[begin + i];
        if (dot.x_row != row) load_row(block, args, layer, product, dot.x_row, x);
        row = dot.x_row;
        float sum = 0.0f;
#pragma unroll
        for (int s = 0; s < 3; ++s) {
          if (column_of(s, 0, 0) >= cols) continue;
          const unsigned char* from =
              block.ring(args).read(cursor, block.warp() / 4) + block.warp() % 4 * 1024;
          if (column_of(s, block.warp(), block.lane()) < cols) {
            float a[8];
            read_eight(from, block.lane(), a);
            sum = dot_eight(a, x[s], sum);
          }
          block.ring(args).release(cursor, block.warp() / 4, block.lane());
          cursor.next(block.ring(args).slots);
        }
        sum = warp_sum(sum);
        if (block.lane() == 0) block.shared().dots[parity][i][block.warp()] = sum;
      }
      meet(kAllReaders, kReaders);
      if (block.warp() < some) {
        const float z = half_warp_sum(block.shared().dots[parity][block.warp()][block.lane() % 16]);
        const unsigned long long tagged =
            static_cast<unsigned long long>(args.epoch) << 32 | __float_as_uint(z);
        if (block.lane() == 0)
          __stcg(args.adapters.z + args.adapters.dots[begin + block.warp()].z, tagged);
      }
      parity ^= 1;
    }
  });
}

// --- B ---------------------------------------------------------------------------------------

/// Which matrix and which of its rows tile `tile` of a product's share begins with.
struct TilePlace {
  int matrix;
  int row;
};

__device__ inline TilePlace place_of(const StepArgs& args, int product, int tile) {
  if (product == kStepGateUp) return {tile % 2, tile / 2 * kTileRows};
  const int row = tile * kTileRows;
  if (product != kStepQkv) return {0, row};
  const int q = args.heads * kHeadDim;
  const int k = args.kv_heads * kHeadDim;
  return row < q       ? TilePlace{0, row}
         : row < q + k ? TilePlace{1, row - q}
                       : TilePlace{2, row - q - k};
}

/// Tiles of a product, pairs of gate and up counted as two.
__device__ inline int product_tiles(const StepArgs& args, int product) {
  switch (product) {
    case kStepQkv: return (args.heads + 2 * args.kv_heads) * kHeadDim / kTileRows;
    case kStepGateUp: return args.intermediate / kTileRows * 2;
    case kStepHead: return args.vocab / kTileRows;
    default: return args.hidden / kTileRows;
  }
}

/// A block's tiles of a product.
__device__ inline Share share_of(const StepArgs& args, int product, int worker) {
  const int unit = product == kStepGateUp ? 2 : 1;
  Share share(product_tiles(args, product) / unit, worker, args.workers);
  share.begin *= unit;
  share.count *= unit;
  return share;
}

__device__ inline bool has_adapters(const StepArgs& args, int layer, int product) {
  if (!args.adapters.dots_begin) return false;
  const int* begin = args.adapters.dots_begin + layer * kStepProducts + product;
  return begin[1] > begin[0];
}

/// scale * B z of one output.
__device__ inline float delta_of(const StepDelta& delta, int row, const float* z, float4 first,
                                 float4 second, bool fetched) {
  const float* b = delta.b + static_cast<long long>(row) * delta.rank;
  float sum = 0.0f;
  if (fetched) {
    const float numbers[8] = {first.x,  first.y,  first.z,  first.w,
                              second.x, second.y, second.z, second.w};
#pragma unroll
    for (int r = 0; r < 8; ++r) sum = fmaf(numbers[r], z[r], sum);
  } else {
    for (int r = 0; r < delta.rank; ++r) sum = fmaf(b[r], z[r], sum);
  }
  return sum * delta.scale;
}

/// One warp: what adapters add to this block's outputs, a chunk ahead of the readers. Rows of B are
/// under way before z is there.
template <int Rows>
__device__ void add_deltas(const Block<Rows>& block, const StepArgs& args) {
  constexpr int kEach = kChunkTiles<Rows> * kTileRows * Rows / 32;
  constexpr bool kAhead = Rows == 1;  // more would not fit into registers
  int parity = 0;
  int products = 0;  // seen
  volatile int* started = &block.shared().started;
  for (int i = 0; i < args.layer_count * kStepProducts; ++i) {
    const int product = i % kStepProducts;
    const int2 share = block.shared().shares[product];
    const int chunks = (share.y + kChunkTiles<Rows> - 1) / kChunkTiles<Rows>;
    ++products;
    if (!has_adapters(args, i / kStepProducts, product)) {
      parity ^= chunks & 1;
      continue;
    }
    const StepDelta* deltas = args.adapters.deltas + i * kMatrices * kStepRows;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      const int first = share.x + chunk * kChunkTiles<Rows>;
      const int outputs =
          min(kChunkTiles<Rows>, share.y - chunk * kChunkTiles<Rows>) * kTileRows * Rows;
      float4 low[kAhead ? kEach : 1], high[kAhead ? kEach : 1];
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const int index = block.lane() + j * 32;
        if (index >= outputs) continue;
        const TilePlace place = place_of(args, product, first + index / (kTileRows * Rows));
        const StepDelta& delta = deltas[place.matrix * kStepRows + index % Rows];
        if (!kAhead || delta.rank != 8) continue;
        const int row = place.row + index % (kTileRows * Rows) / Rows;
        const float4* b = reinterpret_cast<const float4*>(delta.b + row * 8ll);
        low[kAhead ? j : 0] = __ldg(b);
        high[kAhead ? j : 0] = __ldg(b + 1);
      }
      if (chunk == 0) {
        while (*started < products) __nanosleep(40);
        for (int m = 0; m < kMatrices; ++m)
          for (int r = 0; r < Rows; ++r) {
            const StepDelta& delta = deltas[m * kStepRows + r];
            for (int at = block.lane(); at < delta.rank; at += 32) {
              const volatile unsigned long long* z = args.adapters.z + delta.z + at;
              unsigned long long tagged = *z;
              while (static_cast<unsigned>(tagged >> 32) != args.epoch) tagged = *z;
              block.shared().z[(m * Rows + r) * kStepMaxRank + at] =
                  __uint_as_float(static_cast<unsigned>(tagged));
            }
          }
        __syncwarp();
      }
#pragma unroll
      for (int j = 0; j < kEach; ++j) {
        const int index = block.lane() + j * 32;
        if (index >= outputs) continue;
        const TilePlace place = place_of(args, product, first + index / (kTileRows * Rows));
        const StepDelta& delta = deltas[place.matrix * kStepRows + index % Rows];
        const int row = place.row + index % (kTileRows * Rows) / Rows;
        const float* z = block.shared().z + (place.matrix * Rows + index % Rows) * kStepMaxRank;
        block.shared().deltas[parity][index] =
            delta.rank == 0 ? -0.0f  // adds nothing, whatever the sum
                            : delta_of(delta, row, z, low[kAhead ? j : 0], high[kAhead ? j : 0],
                                       kAhead && delta.rank == 8);
      }
      meet(kWithAdapters, kReaders + 32);
      parity ^= 1;
    }
  }
}

}  // namespace bobby::cuda
