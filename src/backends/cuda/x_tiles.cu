// x rounded for the products of whole warpgroups.

#include "backends/cuda/x_tiles.cuh"

namespace bobby::cuda {
namespace {

/// A thread eight columns.
__global__ void byte_tiles_kernel(const float* x, int cols, RowTiles to) {
  allow_next();
  begin();
  const int column = (static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x)) * 8;
  const int row = static_cast<int>(blockIdx.y);
  float values[8];
  load_eight_of(x + static_cast<long long>(row) * cols, column, cols, values);
  put_columns(to, row, column, cols, column < cols, values);
}

/// A block a row: its largest number, then put_halves().
template <Element Type, bool kGated>
__global__ void half_tiles_kernel(float* x, Gated gated, int cols, HalfTiles to) {
  __shared__ float shared[32];
  allow_next();
  begin();
  const int row = static_cast<int>(blockIdx.x);
  const int tid = static_cast<int>(threadIdx.x);
  const long long begin_of_row = static_cast<long long>(row) * cols;
  float* from = x + begin_of_row;
  float largest = 0.0f;
  bool finite = true;
  for (int i = tid; i < cols / 4; i += kThreads) {
    float4 some;
    if constexpr (kGated) {
      const float4 gate = reinterpret_cast<const float4*>(gated.gate + begin_of_row)[i];
      const float4 up = reinterpret_cast<const float4*>(gated.up + begin_of_row)[i];
      some = make_float4(silu(gate.x) * up.x, silu(gate.y) * up.y, silu(gate.z) * up.z,
                         silu(gate.w) * up.w);
      reinterpret_cast<float4*>(from)[i] = some;  // read again below, after a barrier
    } else {
      some = reinterpret_cast<const float4*>(from)[i];
    }
    largest = fmaxf(fmaxf(largest, fmaxf(fabsf(some.x), fabsf(some.y))),
                    fmaxf(fabsf(some.z), fabsf(some.w)));
    finite = finite && isfinite(some.x) && isfinite(some.y) && isfinite(some.z) && isfinite(some.w);
  }
  largest = row_largest<kWarps>(largest, finite, shared);
  put_halves<Type, kWarps>(to, row, cols, from, largest, finite);
}

}  // namespace

void load_x_tiles_kernels() {
  load_kernel(byte_tiles_kernel);
  load_kernel(half_tiles_kernel<Element::kBF16, false>);
  load_kernel(half_tiles_kernel<Element::kBF16, true>);
}

void to_byte_tiles(const float* x, int rows, int cols, ByteTiles to, cudaStream_t stream) {
  const dim3 grid(blocks_for(cols / 8, kThreads), static_cast<unsigned>(rows));
  RowTiles tiles;
  tiles.bytes = to;
  launch(byte_tiles_kernel, grid, kThreads, 0, stream, x, cols, tiles);
}

void to_half_tiles(float* x, Gated gated, int rows, int cols, Element element, HalfTiles to,
                   cudaStream_t stream) {
  const auto kernel = [&]<Element Type>() {
    return gated.gate ? half_tiles_kernel<Type, true> : half_tiles_kernel<Type, false>;
  };
  launch(element == Element::kBF16 ? kernel.template operator()<Element::kBF16>()
                                   : kernel.template operator()<Element::kF16>(),
         dim3(static_cast<unsigned>(rows)), kThreads, 0, stream, x, gated, cols, to);
}

}  // namespace bobby::cuda
