#pragma once

// The warp that adds up a chunk's parts and publishes its outputs, while the readers go on; and
// that takes back what all blocks have read.

#include "backends/cuda/orders.cuh"
#include "backends/cuda/step_attention.cuh"
#include "backends/cuda/step_block.cuh"

namespace bobby::cuda {

/// A step's writer in one block. Half a warp takes the 16 rows of a tile for one row of x.
template <int Rows, Element Type>
class Writer {
 public:
  __device__ explicit Writer(const StepArgs& args)
      : args_(args), first_column_(block_.shared().shares[kStepO].x * kTileRows) {}

  __device__ void run() {
    embed();
    int index = 0;
    each_product(args_, [&](int layer, int product) {
      wait_seen(block_, index++);
      if (block_.worker() == 0 && block_.lane() == 0)
        asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(args_.exchange.progress),
                     "r"(products_before(args_) + static_cast<unsigned>(index))
                     : "memory");
      take_back(product);
      const int2 share = block_.shared().shares[product];
      const bool adapters = has_adapters(args_, layer, product);
      for (int first = 0; first < share.y; first += kChunkTiles) {
        const int tiles = min(kChunkTiles, share.y - first);
        wait_phase(shared_address(&block_.shared().parts_full[parts_.buffer]), parts_.phase);
        if (adapters)
          wait_phase(shared_address(&block_.shared().deltas_full[deltas_.buffer]), deltas_.phase);
        write_chunk(layer, product, share.x + first, tiles,
                    adapters ? block_.shared().deltas[deltas_.buffer] : nullptr);
        __syncwarp();
        if (block_.lane() == 0) {
          arrive_at(&block_.shared().parts_free[parts_.buffer]);
          if (adapters) arrive_at(&block_.shared().deltas_free[deltas_.buffer]);
        }
        parts_.next();
        if (adapters) deltas_.next();
      }
    });
  }

 private:
  using Deltas = float[kTileRows][Rows];

  /// This block's columns of the residual stream.
  __device__ void embed() {
    const int columns = block_.shared().shares[kStepO].y * kTileRows;
    for (int r = 0; r < args_.rows; ++r)
      for (int i = block_.lane(); i < columns; i += 32)
        block_.own_x(args_)[r * args_.own_columns + i] =
            tiled_number<Type>(args_.table, args_.hidden, args_.tokens[r], first_column_ + i);
    __syncwarp();
  }

  __device__ void unset_columns(float* exchange, int width, int first, int count) const {
    for (int r = 0; r < args_.rows; ++r)
      for (int i = block_.lane(); i < count; i += 32) unset(exchange + r * width + first + i);
  }

  /// All of what `product` reads is there: so every block has read what came before that.
  __device__ void take_back(int product) const {
    const StepExchange& exchange = args_.exchange;
    const auto own_columns = [&](float* numbers) {
      unset_columns(numbers, args_.hidden, first_column_,
                    block_.shared().shares[kStepO].y * kTileRows);
    };
    switch (product) {
      case kStepO: {
        own_columns(exchange.x);
        const int2 share = block_.shared().shares[kStepQkv];
        for (int i = 0; i < share.y; ++i) {
          const TilePlace place = place_of(args_, kStepQkv, share.x + i);
          unset_columns(projection_of(place.matrix), heads_of(place.matrix) * kHeadDim, place.row,
                        kTileRows);
        }
        break;
      }
      case kStepGateUp:
        each_unit(args_, block_.worker(), [&](const HeadUnit& unit) {
          unset_columns_of_row(exchange.attention +
                               (unit.row * args_.heads + unit.head) * kHeadDim);
        });
        break;
      case kStepDown: own_columns(exchange.mid); break;
      default: {
        const int2 share = block_.shared().shares[kStepGateUp];
        for (int i = 0; i < share.y; i += 2)
          unset_columns(exchange.activation, args_.intermediate,
                        place_of(args_, kStepGateUp, share.x + i).row, kTileRows);
        break;
      }
    }
    __threadfence();
  }
  __device__ void unset_columns_of_row(float* head) const {
    for (int i = block_.lane(); i < kHeadDim; i += 32) unset(head + i);
  }

  __device__ float* projection_of(int matrix) const {
    return matrix == 0 ? args_.exchange.q : matrix == 1 ? args_.exchange.k : args_.exchange.v;
  }
  __device__ int heads_of(int matrix) const { return matrix == 0 ? args_.heads : args_.kv_heads; }

  /// The warps' parts in the promised order.
  __device__ float sum(int tile, int row, int r) const {
    float part[kReaderWarps];
#pragma unroll
    for (int w = 0; w < kReaderWarps; ++w)
      part[w] = block_.shared().parts[parts_.buffer][w][tile][row][r];
#pragma unroll
    for (int half = kReaderWarps / 2; half > 0; half /= 2)
#pragma unroll
      for (int w = 0; w < half; ++w) part[w] += part[w + half];
    return part[0];
  }

  __device__ void write_chunk(int layer, int product, int first, int tiles, const Deltas* deltas) {
    const int row = block_.lane() % kTileRows;
    const int half = block_.lane() / kTileRows;
    const auto finished = [&](int tile, int r) {
      const float value = sum(tile, row, r);
      return deltas ? value + deltas[tile][row][r] : value;
    };
    if (product == kStepGateUp) {
      const int at = place_of(args_, product, first).row + row;
#pragma unroll 1
      for (int r = half; r < args_.rows; r += 2)
        publish(args_.exchange.activation + r * args_.intermediate + at,
                silu(finished(0, r)) * finished(1, r));
      return;
    }
    // Two rows of x at a time, or of one row both tiles.
    if (Rows == 1) {
      if (half < tiles) write(layer, product, first + half, row, 0, finished(half, 0));
      return;
    }
    for (int tile = 0; tile < tiles; ++tile)
#pragma unroll 1
      for (int r = half; r < args_.rows; r += 2)
        write(layer, product, first + tile, row, r, finished(tile, r));
  }

  __device__ void write(int layer, int product, int tile, int row, int r, float value) {
    const TilePlace place = place_of(args_, product, tile);
    const int at = place.row + row;
    switch (product) {
      case kStepQkv:
        return publish(projection_of(place.matrix) + r * heads_of(place.matrix) * kHeadDim + at,
                       value);
      case kStepHead:
        return __stcs(args_.logits + static_cast<long long>(r) * args_.vocab + at, value);
      default: {
        float& x = block_.own_x(args_)[r * args_.own_columns + at - first_column_];
        x += value;
        publish((product == kStepO ? args_.exchange.mid : args_.exchange.x) + r * args_.hidden + at,
                x);
        if (product == kStepDown && layer + 1 == args_.layer_count)
          __stcs(args_.x + r * args_.hidden + at, x);
      }
    }
  }

  const StepArgs& args_;
  Block<Rows> block_;
  int first_column_;
  Turn parts_, deltas_;
};

}  // namespace bobby::cuda
