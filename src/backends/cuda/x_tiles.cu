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

/// Takes four numbers into what a thread has seen of its row.
__device__ void see(const float4& some, float& largest, bool& finite) {
  largest = fmaxf(fmaxf(largest, fmaxf(fabsf(some.x), fabsf(some.y))),
                  fmaxf(fabsf(some.z), fabsf(some.w)));
  finite = finite && isfinite(some.x) && isfinite(some.y) && isfinite(some.z) && isfinite(some.w);
}

/// A block a row: its largest number, then put_halves().
template <Element Type>
__global__ void half_tiles_kernel(const float* x, int cols, HalfTiles to) {
  __shared__ float shared[32];
  allow_next();
  begin();
  const int row = static_cast<int>(blockIdx.x);
  const float* from = x + static_cast<long long>(row) * cols;
  float largest = 0.0f;
  bool finite = true;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < cols / 4; i += kThreads)
    see(reinterpret_cast<const float4*>(from)[i], largest, finite);
  largest = row_largest<kWarps>(largest, finite, shared);
  put_halves<Type, kWarps>(to, row, cols, from, largest, finite);
}

constexpr int kGatedThreads = 512;
constexpr std::size_t kMostShared = std::size_t{96} << 10;  // two rows a multiprocessor, at least

/// The same for x made on the way; the row is rounded from shared memory, where it has room.
template <Element Type>
__global__ void __launch_bounds__(kGatedThreads)
    gated_halves_kernel(float* x, Gated gated, int cols, bool fits, HalfTiles to) {
  extern __shared__ __align__(16) float whole[];
  __shared__ float shared[32];
  allow_next();
  begin();
  const int row = static_cast<int>(blockIdx.x);
  const long long at = static_cast<long long>(row) * cols;
  const auto* gates = reinterpret_cast<const float4*>(gated.gate + at);
  const auto* ups = reinterpret_cast<const float4*>(gated.up + at);
  float largest = 0.0f;
  bool finite = true;
  for (int i = static_cast<int>(threadIdx.x); i < cols / 4; i += 2 * kGatedThreads) {
    const int second = i + kGatedThreads;
    const bool both = second < cols / 4;
    float4 gate[2], up[2];  // all loads before a store that might be to the same memory
    gate[0] = gates[i], up[0] = ups[i];
    if (both) gate[1] = gates[second], up[1] = ups[second];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (j == 1 && !both) break;
      const float4 some = make_float4(silu(gate[j].x) * up[j].x, silu(gate[j].y) * up[j].y,
                                      silu(gate[j].z) * up[j].z, silu(gate[j].w) * up[j].w);
      reinterpret_cast<float4*>(x + at)[i + j * kGatedThreads] = some;
      if (fits) reinterpret_cast<float4*>(whole)[i + j * kGatedThreads] = some;
      see(some, largest, finite);
    }
  }
  largest = row_largest<kGatedThreads / 32>(largest, finite, shared);
  put_halves<Type, kGatedThreads / 32>(to, row, cols, fits ? whole : x + at, largest, finite);
}

template <Element Type>
void to_half_tiles_of(float* x, Gated gated, int rows, int cols, HalfTiles to,
                      cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(rows));
  if (!gated.gate) return launch(half_tiles_kernel<Type>, grid, kThreads, 0, stream, x, cols, to);
  static const auto kernel = [] {
    cudaFuncSetAttribute(gated_halves_kernel<Type>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(kMostShared));
    return gated_halves_kernel<Type>;
  }();
  const std::size_t row_bytes = static_cast<std::size_t>(cols) * sizeof(float);
  const bool fits = row_bytes <= kMostShared;
  launch(kernel, grid, kGatedThreads, fits ? row_bytes : 0, stream, x, gated, cols, fits, to);
}

}  // namespace

void load_x_tiles_kernels() {
  load_kernel(byte_tiles_kernel);
  load_kernel(half_tiles_kernel<Element::kBF16>);
  load_kernel(gated_halves_kernel<Element::kBF16>);
}

void to_byte_tiles(const float* x, int rows, int cols, ByteTiles to, cudaStream_t stream) {
  const dim3 grid(blocks_for(cols / 8, kThreads), static_cast<unsigned>(rows));
  RowTiles tiles;
  tiles.bytes = to;
  launch(byte_tiles_kernel, grid, kThreads, 0, stream, x, cols, tiles);
}

void to_half_tiles(float* x, Gated gated, int rows, int cols, Element element, HalfTiles to,
                   cudaStream_t stream) {
  if (element == Element::kBF16)
    return to_half_tiles_of<Element::kBF16>(x, gated, rows, cols, to, stream);
  to_half_tiles_of<Element::kF16>(x, gated, rows, cols, to, stream);
}

}  // namespace bobby::cuda
