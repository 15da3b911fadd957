#pragma once

// Adapters in the whole-step kernel: a warp of each block multiplies its share of the rows of A,
// tells the others, and then multiplies the rows of B that belong to the block's outputs.

#include "backends/cuda/orders.cuh"
#include "backends/cuda/step_block.cuh"

namespace bobby::cuda {

/// Brings `bytes` (whole 16s) near before they are asked for.
__device__ inline void bring_near(const void* from, int bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
#endif
}

/// A step's adapters in one block.
template <int Rows, Element Type>
class AdapterWarp {
 public:
  __device__ explicit AdapterWarp(const StepArgs& args) : args_(args) {}

  __device__ void run() {
    const int products = args_.layer_count * kStepProducts;
    bring_dots(0, products);
#pragma unroll 1
    for (int i = 0; i < products; ++i) {
      bring_dots(i + 1, products);
      const int product = i % kStepProducts;
      if (!has_adapters(args_, i / kStepProducts, product)) continue;
      bring_b(i, product);
      wait_seen(block_, i);
      multiply_dots(i, product);
      collect(i);
      const int2 share = block_.shared().shares[product];
      for (int first = 0; first < share.y; first += kChunkTiles)
        put_deltas(i, product, share.x + first, min(kChunkTiles, share.y - first));
    }
  }

 private:
  static constexpr int kRank = step_max_rank(Rows);

  /// This block's dots of a product.
  __device__ Share dots_of(int i) const {
    const int begin = __ldg(args_.adapters.dots_begin + i);
    Share share(__ldg(args_.adapters.dots_begin + i + 1) - begin, block_.worker(), args_.workers);
    share.begin += begin;
    return share;
  }

  __device__ void bring_dots(int i, int products) const {
    if (i >= products) return;
    const Share share = dots_of(i);
    for (int k = block_.lane(); k < share.count; k += 32)
      bring_near(args_.adapters.dots[share.begin + k].a,
                 product_cols(args_, i % kStepProducts) * static_cast<int>(sizeof(float)));
  }

  /// Rows of B of this block's outputs, tile by tile.
  __device__ void bring_b(int i, int product) const {
    const int2 share = block_.shared().shares[product];
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

  /// A row of A times a row of x, in the order that lora_a() has: 16 warps of 256 columns in each
  /// stretch, then their tree.
  __device__ float dot(const StepDot& dot, int product) const {
    const int cols = product_cols(args_, product);
    const float* x = source_of(args_, product) + dot.x_row * cols;
    const int lane = block_.lane();
    float sums[kTileParts] = {};
#pragma unroll 1
    for (int stretch = 0; stretch * kNormStretch < cols; ++stretch) {
#pragma unroll
      for (int p = 0; p < kTileParts; ++p) {
        const int column = stretch * kNormStretch + p * 256 + lane * 8;
        if (column >= cols) continue;
        float a[8], own[8];
        load_eight(dot.a + column, a);
        if (embedded_)
          tiled_eight<Type>(args_.table, args_.hidden, args_.tokens[dot.x_row], column, own);
        else
          load_eight(x + column, own);
        if (norm_) {
          float weight[8];
          load_eight(norm_ + column, weight);
          const float factor = factors_[dot.x_row];
#pragma unroll
          for (int d = 0; d < 8; ++d) own[d] = own[d] * factor * weight[d];
        }
        sums[p] = dot_eight(a, own, sums[p]);
      }
    }
    float own_sum = 0.0f;
#pragma unroll
    for (int p = 0; p < kTileParts; ++p) {
      const float total = warp_sum(sums[p]);
      if (lane % kTileParts == p) own_sum = total;
    }
    return half_warp_sum(own_sum);
  }

  __device__ void multiply_dots(int i, int product) {
    const StepLayer& layer = args_.layers[i / kStepProducts];
    norm_ = product == kStepQkv      ? layer.input_norm
            : product == kStepGateUp ? layer.post_norm
                                     : nullptr;
    embedded_ = i == 0;
    factors_ = block_.shared().factors[product == kStepGateUp];
    const Share share = dots_of(i);
#pragma unroll 1
    for (int k = share.begin; k < share.begin + share.count; ++k) {
      const StepDot one = args_.adapters.dots[k];
      const float z = dot(one, product);
      if (block_.lane() == 0)
        __stcg(args_.adapters.z + one.z,
               static_cast<unsigned long long>(args_.epoch) << 32 | __float_as_uint(z));
    }
  }

  /// All numbers of z that the product has, from all blocks.
  __device__ void collect(int i) {
    for (int m = 0; m < kMatrices; ++m)
      for (int r = 0; r < args_.rows; ++r) {
        const StepDelta& delta = delta_at(i, m, r);
        for (int at = block_.lane(); at < delta.rank; at += 32) {
          const volatile unsigned long long* z = args_.adapters.z + delta.z + at;
          unsigned long long tagged = *z;
          while (static_cast<unsigned>(tagged >> 32) != args_.epoch) tagged = *z;
          block_.shared().z[(m * Rows + r) * kRank + at] =
              __uint_as_float(static_cast<unsigned>(tagged));
        }
      }
    __syncwarp();
  }

  /// scale * B z of one output.
  __device__ float delta_of(const StepDelta& delta, int row, const float* z) const {
    const float* b = delta.b + static_cast<long long>(row) * delta.rank;
    float sum = 0.0f;
    if (delta.rank == 8) {
      float numbers[8];
      load_eight(b, numbers);
#pragma unroll
      for (int r = 0; r < 8; ++r) sum = fmaf(numbers[r], z[r], sum);
    } else {
      for (int r = 0; r < delta.rank; ++r) sum = fmaf(__ldg(b + r), z[r], sum);
    }
    return sum * delta.scale;
  }

  __device__ void put_deltas(int i, int product, int first, int tiles) {
    const int row = block_.lane() % kTileRows;
    const int half = block_.lane() / kTileRows;
    wait_phase(shared_address(&block_.shared().deltas_free[turn_.buffer]), turn_.phase ^ 1);
    for (int tile = 0; tile < tiles; ++tile) {
      const TilePlace place = place_of(args_, product, first + tile);
#pragma unroll 2
      for (int r = half; r < args_.rows; r += 2) {
        const StepDelta& delta = delta_at(i, place.matrix, r);
        block_.shared().deltas[turn_.buffer][tile][row][r] =
            delta.rank == 0 ? -0.0f  // adds nothing, whatever the sum
                            : delta_of(delta, place.row + row,
                                       block_.shared().z + (place.matrix * Rows + r) * kRank);
      }
    }
    __syncwarp();
    if (block_.lane() == 0) arrive_at(&block_.shared().deltas_full[turn_.buffer]);
    turn_.next();
  }

  const StepArgs& args_;
  Block<Rows> block_;
  Turn<kDeltaBuffers> turn_;
  bool embedded_ = false;  // x is that of the step's first product
  const float* norm_ = nullptr;
  const float* factors_ = nullptr;
};

}  // namespace bobby::cuda
