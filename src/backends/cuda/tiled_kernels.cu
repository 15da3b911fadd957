// Weights in tile order, operation by operation: loading, q15 of x, products.

#include "backends/cuda/tiled.cuh"
#include "backends/cuda/tiled_kernels.h"

namespace bobby::cuda {
namespace {

constexpr int kPartThreads = kTileParts * 32;

/// A thread a word of the levels, and one in eight a pair of scale and bias.
__global__ void reorder_kernel(const unsigned* weight, const unsigned short* scales,
                               const unsigned short* biases, int cols, unsigned char* to) {
  allow_next();
  begin();
  const int groups = cols / kTileGroup;
  const int group = static_cast<int>(blockIdx.x) * 2 + static_cast<int>(threadIdx.x) / 128;
  if (group >= groups) return;
  const int word = static_cast<int>(threadIdx.x) % 128;
  const long long tile = blockIdx.y;
  const int lane = word / 4;
  const int j = word % 4;
  unsigned char* record = to + (tile * groups + group) * kTileRecordBytes;
  const long long row = tile * kTileRows + lane / 4 + 8 * (j % 2);
  reinterpret_cast<unsigned*>(record)[word] =
      weight[row * (cols / 8) + group * 8 + lane % 4 + 4 * (j / 2)];
  if (word >= kTileRows) return;
  const long long at = (tile * kTileRows + word / 2 + 8 * (word % 2)) * groups + group;
  reinterpret_cast<unsigned*>(record + kTileLevelBytes)[word] =
      scales[at] | static_cast<unsigned>(biases[at]) << 16;
}

/// A warp a group, two columns a lane.
__global__ void quantize_tiled_kernel(const float* x, int cols, TiledX to) {
  allow_next();
  begin();
  const int groups = cols / kTileGroup;
  const int group = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  if (group >= groups) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const long long at = static_cast<long long>(blockIdx.y) * groups + group;
  const float2 values = reinterpret_cast<const float2*>(x + at * kTileGroup)[lane];
  const bool finite = __all_sync(0xffffffffu, isfinite(values.x) && isfinite(values.y));
  const Q15 form = q15_of(warp_max(fmaxf(fabsf(values.x), fabsf(values.y))), finite);
  const int first = q15(values.x, form.inverse);
  const int second = q15(values.y, form.inverse);
  auto* bytes = reinterpret_cast<signed char*>(to.bytes + at * 8);
  const int byte = tile_byte(lane * 2);
  bytes[byte] = static_cast<signed char>(first >> 7);
  bytes[byte + 4] = static_cast<signed char>(second >> 7);
  bytes[byte + 64] = static_cast<signed char>(first & 127);
  bytes[byte + 68] = static_cast<signed char>(second & 127);
  const int sum = __reduce_add_sync(0xffffffffu, first + second);
  if (lane == 0) to.scales[at] = make_float2(form.scale, form.scale * static_cast<float>(sum));
}

/// Tiles * 8 rows of x times one tile: a warp a part.
template <int Tiles, Element Type>
__global__ void __launch_bounds__(kPartThreads, Tiles == 4 ? 1 : 2)
    tiled_kernel(Matrices matrices, TiledX x, int x_rows) {
  __shared__ float parts[kTileParts][Tiles][kTileRows][8];
  allow_next();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int quad = lane / 4;
  const int t = lane % 4;
  const int tile = static_cast<int>(blockIdx.x);
  const Matrix& matrix = matrix_of(matrices, tile);
  const int own_tile = tile - matrix.tiles_before;
  const int x_begin = static_cast<int>(blockIdx.y) * Tiles * 8;
  const int groups = matrices.cols / kTileGroup;
  const auto* records = static_cast<const unsigned char*>(matrix.weight) +
                        static_cast<long long>(own_tile) * groups * kTileRecordBytes;
  float sums[Tiles][4] = {};
  bool waited = false;
  for (int first = warp * kTilePartGroups; first < groups; first += kTileParts * kTilePartGroups) {
    uint4 words[kTilePartGroups];
    uint2 pairs[kTilePartGroups];
#pragma unroll
    for (int i = 0; i < kTilePartGroups; ++i) {
      const unsigned char* record =
          records + static_cast<long long>(min(first + i, groups - 1)) * kTileRecordBytes;
      words[i] = __ldcs(reinterpret_cast<const uint4*>(record) + lane);
      pairs[i] = __ldcs(reinterpret_cast<const uint2*>(record + kTileLevelBytes) + quad);
    }
    if (!waited) begin();  // the weights are under way while x is still being made
    waited = true;
#pragma unroll
    for (int i = 0; i < kTilePartGroups; ++i) {
      const int group = first + i;
      if (group >= groups) break;
      const Levels levels(words[i]);
      const float2 above = scale_and_bias<Type>(pairs[i].x);
      const float2 below = scale_and_bias<Type>(pairs[i].y);
#pragma unroll
      for (int j = 0; j < Tiles; ++j) {
        const int column = x_begin + j * 8;
        const long long at =
            static_cast<long long>(min(column + quad, x_rows - 1)) * groups + group;
        const uint4 hi = x.bytes[at * 8 + t];
        const uint4 lo = x.bytes[at * 8 + 4 + t];
        int c[4] = {};
        multiply_tile(c, levels.first, hi.x, hi.y);
        multiply_tile(c, levels.second, hi.z, hi.w);
#pragma unroll
        for (int& value : c) value *= 128;
        multiply_tile(c, levels.first, lo.x, lo.y);
        multiply_tile(c, levels.second, lo.z, lo.w);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          const long long row = min(column + t * 2 + k % 2, x_rows - 1);
          sums[j][k] = add_group(sums[j][k], static_cast<float>(c[k]), k < 2 ? above : below,
                                 x.scales[row * groups + group]);
        }
      }
    }
  }
  if (!waited) begin();
#pragma unroll
  for (int j = 0; j < Tiles; ++j)
#pragma unroll
    for (int k = 0; k < 4; ++k) parts[warp][j][quad + k / 2 * 8][t * 2 + k % 2] = sums[j][k];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < Tiles * kTileRows * 8; i += kPartThreads) {
    const int row = i % kTileRows;
    const int column = i / kTileRows % 8;
    const int j = i / (kTileRows * 8);
    float sum[kTileParts];
#pragma unroll
    for (int p = 0; p < kTileParts; ++p) sum[p] = parts[p][j][row][column];
#pragma unroll
    for (int half = kTileParts / 2; half > 0; half /= 2)
#pragma unroll
      for (int p = 0; p < half; ++p) sum[p] += sum[p + half];
    const int x_row = x_begin + j * 8 + column;
    if (x_row < x_rows)
      matrix.out[static_cast<long long>(x_row) * matrix.rows + own_tile * kTileRows + row] = sum[0];
  }
}

template <Element Type>
void tiled_product_of(const Matrices& matrices, TiledX x, int rows, cudaStream_t stream) {
  const auto tiles = static_cast<unsigned>(matrices.tiles);
  if (rows <= 8)
    launch(tiled_kernel<1, Type>, dim3(tiles), kPartThreads, 0, stream, matrices, x, rows);
  else if (rows <= 16)
    launch(tiled_kernel<2, Type>, dim3(tiles), kPartThreads, 0, stream, matrices, x, rows);
  else
    launch(tiled_kernel<4, Type>, dim3(tiles, blocks_for(rows, 32)), kPartThreads, 0, stream,
           matrices, x, rows);
}

}  // namespace

void reorder_tiles(const void* weight, const void* scales, const void* biases, int rows, int cols,
                   void* to, cudaStream_t stream) {
  const dim3 grid(blocks_for(cols / kTileGroup, 2), static_cast<unsigned>(rows / kTileRows));
  launch(reorder_kernel, grid, 256, 0, stream, static_cast<const unsigned*>(weight),
         static_cast<const unsigned short*>(scales), static_cast<const unsigned short*>(biases),
         cols, static_cast<unsigned char*>(to));
}

void quantize_tiled(const float* x, int rows, int cols, TiledX to, cudaStream_t stream) {
  const dim3 grid(blocks_for(cols / kTileGroup, kWarps), static_cast<unsigned>(rows));
  launch(quantize_tiled_kernel, grid, kThreads, 0, stream, x, cols, to);
}

void tiled_product(const Matrices& matrices, TiledX x, int rows, cudaStream_t stream) {
  if (matrices.element == Element::kF16)
    tiled_product_of<Element::kF16>(matrices, x, rows, stream);
  else
    tiled_product_of<Element::kBF16>(matrices, x, rows, stream);
}

}  // namespace bobby::cuda
