#pragma once

// Adapters in the whole-step kernel: the spare blocks multiply the rows of A while the others
// stream, a warp of each of the others multiplies its rows of B.

#include "backends/cuda/step_stage.cuh"

namespace bobby::cuda {

/// Numbers of a row of A that a quarter of a slot holds: those of four parts.
inline constexpr int kQuarterFloats = 1024;

/// Calls run(layer, product, its first dot, how many) for the share of spare block `spare`.
template <typename Run>
__device__ void each_share_of_dots(const StepArgs& args, int spare, const Run& run) {
#pragma unroll 1
  for (int i = 0; i < args.layer_count * kStepProducts; ++i) {
    const int begin = __ldg(args.adapters.dots_begin + i);
    const Share share(__ldg(args.adapters.dots_begin + i + 1) - begin, spare, args.spares);
    if (share.count > 0)
      run(i / kStepProducts, i % kStepProducts, begin + share.begin, share.count);
  }
}

/// The thread that fills a spare block's ring.
__device__ inline void write_dots(const StepArgs& args, const Ring& ring, const int* multiplies,
                                  int spare) {
  RingWriter writer(ring, multiplies, args.many_copies, args.few_copies);
  each_share_of_dots(args, spare, [&](int, int product, int first, int count) {
    const int cols = product_cols(args, product);
    for (int i = first; i < first + count; ++i) {
      const float* a = args.adapters.dots[i].a;
      for (int at = 0; at < stretches_of(cols / kTileGroup) * kNormStretch; at += kQuarterFloats)
        writer.put(reinterpret_cast<const unsigned char*>(a + at),
                   max(0, min(kQuarterFloats, cols - at)) * 4, true);
    }
  });
}

/// Eight numbers of a row of A in the ring; half of the lanes start with the second four, so that
/// no two of a phase ask the same bank.
__device__ inline void read_eight(const unsigned char* from, int lane, float (&to)[8]) {
  const float4* at = reinterpret_cast<const float4*>(from) + lane * 2;
  const bool swap = lane % 8 >= 4;
  const float4 one = at[swap ? 1 : 0];
  const float4 two = at[swap ? 0 : 1];
  const float4 low = swap ? two : one;
  const float4 high = swap ? one : two;
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

/// A spare block's readers: rows of A times rows of x, in the order that lora_a() has.
template <int Rows, Element Type>
class DotReader {
 public:
  __device__ explicit DotReader(const StepArgs& args) : args_(args) {}

  __device__ void run() {
    int parity = 0;
    each_share_of_dots(args_, block_.worker() - args_.workers,
                       [&](int layer, int product, int first, int count) {
                         int row = -1;
                         for (int begin = first; begin < first + count; begin += kMostDots) {
                           const int some = min(kMostDots, first + count - begin);
                           for (int i = 0; i < some; ++i) {
                             const StepDot& dot = args_.adapters.dots[begin + i];
                             if (dot.x_row != row) take_row(layer, product, dot.x_row);
                             row = dot.x_row;
                             multiply(product, block_.shared().dots[parity][i]);
                           }
                           meet(kAllReaders, kReaders);
                           if (block_.warp() < some)
                             publish_z(args_.adapters.dots[begin + block_.warp()].z,
                                       block_.shared().dots[parity][block_.warp()]);
                           parity ^= 1;
                         }
                       });
  }

 private:
  /// This lane's columns of a row of x, as the product has them.
  __device__ void take_row(int layer, int product, int row) {
    const int cols = product_cols(args_, product);
    const int warp = block_.warp();
    const int lane = block_.lane();
    const float* from = source_of(args_, product) + row * cols;
    const bool normed = product == kStepQkv || product == kStepGateUp;
    // Once the product before has its x, what there is of this one's is this layer's.
    if (block_.thread() == 0)
      wait_for(args_.exchange.progress,
               products_before(args_) + static_cast<unsigned>(layer * kStepProducts + product));
    meet(kAllReaders, kReaders);
    if (layer == 0 && product == kStepQkv) {
      x_[0].template embed<Type>(args_.table, args_.tokens[row], cols, warp, lane);
    } else {
      await_row<kMostStretches>(from, cols, warp, lane);
      take(x_, [&](int i) { x_[i].look(from, i, cols, warp, lane); });
    }
    if (!normed) return;
    const StepLayer& of_layer = args_.layers[layer];
    OwnColumns weight;
    weight.load(product == kStepQkv ? of_layer.input_norm : of_layer.post_norm, 0, cols, warp,
                lane);
    put_squares(block_, 0, x_[0]);
    meet(kAllReaders, kReaders);
    const float factor = factor_of(block_, args_, 0);
    meet(kAllReaders, kReaders);
    x_[0].scale(factor, weight);
  }

  /// This warp's two parts of one dot.
  __device__ void multiply(int product, float (&to)[kTileParts]) {
    const int cols = product_cols(args_, product);
    const Ring ring = block_.ring(args_);
    const int warp = block_.warp();
    const int lane = block_.lane();
    float sums[kSets] = {};
#pragma unroll
    for (int s = 0; s < kMostStretches; ++s) {
      if (s * kNormStretch >= cols) break;
#pragma unroll
      for (int set = 0; set < kSets; ++set) {
        const int part = set * kReaderWarps + warp;
        const unsigned char* from = ring.read(cursor_, part / 4) + part % 4 * 1024;
        if (column_of(s, set, warp, lane) < cols) {
          float a[8];
          read_eight(from, lane, a);
          sums[set] = dot_eight(a, x_[s].x[set], sums[set]);
        }
        ring.release(cursor_, part / 4, lane);
      }
      cursor_.next(ring.slots);
    }
#pragma unroll
    for (int set = 0; set < kSets; ++set) {
      const float sum = warp_sum(sums[set]);
      if (lane == 0) to[set * kReaderWarps + warp] = sum;
    }
  }

  __device__ void publish_z(int at, const float (&parts)[kTileParts]) const {
    const float z = half_warp_sum(parts[block_.lane() % kTileParts]);
    if (block_.lane() == 0)
      __stcg(args_.adapters.z + at,
             static_cast<unsigned long long>(args_.epoch) << 32 | __float_as_uint(z));
  }

  const StepArgs& args_;
  Block<Rows> block_;
  Cursor cursor_;
  OwnColumns x_[kMostStretches];
};

/// Brings `bytes` (whole 16s) near before they are asked for.
__device__ inline void bring_near(const void* from, int bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
#endif
}

/// The warp that multiplies rows of B, a chunk ahead of the writer.
template <int Rows>
class AdapterWarp {
 public:
  __device__ explicit AdapterWarp(const StepArgs& args) : args_(args) {}

  __device__ void run() {
#pragma unroll 1
    for (int i = 0; i < args_.layer_count * kStepProducts; ++i) {
      const int product = i % kStepProducts;
      if (!has_adapters(args_, i / kStepProducts, product)) continue;
      const int2 share = block_.shared().shares[product];
      bring_b(i, product, share);
      for (int first = 0; first < share.y; first += kChunkTiles) {
        const int tiles = min(kChunkTiles, share.y - first);
        // Of one row of x a lane has one output: its row of B waits in registers for z.
        float ahead[8];
        if (Rows == 1) fetch_b(i, product, share.x + first, tiles, ahead);
        if (first == 0) collect(i);
        put_deltas(i, product, share.x + first, tiles, ahead);
      }
    }
  }

 private:
  /// Rows of B of this block's outputs, tile by tile.
  __device__ void bring_b(int i, int product, int2 share) const {
    for (int k = block_.lane(); k < share.y * args_.rows; k += 32) {
      const TilePlace place = place_of(args_, product, share.x + k / args_.rows);
      const StepDelta& delta = delta_at(i, place.matrix, k % args_.rows);
      if (delta.rank % 4 == 0 && delta.rank > 0)
        bring_near(delta.b + static_cast<long long>(place.row) * delta.rank,
                   kTileRows * delta.rank * static_cast<int>(sizeof(float)));
    }
  }

  __device__ const StepDelta& delta_at(int i, int matrix, int r) const {
    return args_.adapters.deltas[(i * kMatrices + matrix) * kStepRows + r];
  }

  __device__ void fetch_b(int i, int product, int first, int tiles, float (&to)[8]) const {
    const int tile = block_.lane() / kTileRows;
    if (tile >= tiles) return;
    const TilePlace place = place_of(args_, product, first + tile);
    const StepDelta& delta = delta_at(i, place.matrix, 0);
    if (delta.rank == 8) load_eight(delta.b + (place.row + block_.lane() % kTileRows) * 8ll, to);
  }

  /// All numbers of z that the product has.
  __device__ void collect(int i) {
    for (int m = 0; m < kMatrices; ++m)
      for (int r = 0; r < args_.rows; ++r) {
        const StepDelta& delta = delta_at(i, m, r);
        for (int at = block_.lane(); at < delta.rank; at += 32) {
          const volatile unsigned long long* z = args_.adapters.z + delta.z + at;
          unsigned long long tagged = *z;
          while (static_cast<unsigned>(tagged >> 32) != args_.epoch) tagged = *z;
          block_.shared().z[(m * Rows + r) * kStepMaxRank + at] =
              __uint_as_float(static_cast<unsigned>(tagged));
        }
      }
    __syncwarp();
  }

  __device__ static float dot(const float (&b)[8], const float* z) {
    float sum = 0.0f;
#pragma unroll
    for (int r = 0; r < 8; ++r) sum = fmaf(b[r], z[r], sum);
    return sum;
  }

  /// scale * B z of one output.
  __device__ float delta_of(const StepDelta& delta, int row, const float* z,
                            const float (&ahead)[8]) const {
    if (delta.rank == 0) return -0.0f;  // adds nothing, whatever the sum
    const float* b = delta.b + static_cast<long long>(row) * delta.rank;
    if (delta.rank != 8) {
      float sum = 0.0f;
      for (int r = 0; r < delta.rank; ++r) sum = fmaf(__ldg(b + r), z[r], sum);
      return sum * delta.scale;
    }
    if (Rows == 1) return dot(ahead, z) * delta.scale;
    float numbers[8];
    load_eight(b, numbers);
    return dot(numbers, z) * delta.scale;
  }

  __device__ void put_deltas(int i, int product, int first, int tiles, const float (&ahead)[8]) {
    const int row = block_.lane() % kTileRows;
    const int half = block_.lane() / kTileRows;
    wait_phase(shared_address(&block_.shared().deltas_free[turn_.buffer]), turn_.phase ^ 1);
    const auto put = [&](int tile, int r) {
      const TilePlace place = place_of(args_, product, first + tile);
      block_.shared().deltas[turn_.buffer][tile][row][r] =
          delta_of(delta_at(i, place.matrix, r), place.row + row,
                   block_.shared().z + (place.matrix * Rows + r) * kStepMaxRank, ahead);
    };
    if (Rows == 1) {
      if (half < tiles) put(half, 0);
    } else {
      for (int tile = 0; tile < tiles; ++tile)
#pragma unroll 2
        for (int r = half; r < args_.rows; r += 2) put(tile, r);
    }
    __syncwarp();
    if (block_.lane() == 0) arrive_at(&block_.shared().deltas_full[turn_.buffer]);
    turn_.next();
  }

  const StepArgs& args_;
  Block<Rows> block_;
  Turn turn_;
};

}  // namespace bobby::cuda
