#include "backends/cuda/deltas.cuh"
#include "backends/cuda/norm_kernels.h"
#include "backends/cuda/x_tiles.cuh"

namespace bobby::cuda {
namespace {

/// A block a row: thread i the columns 8 i .. 8 i + 7 of each stretch.
template <int kStretches>
struct NormRow {
  float weights[kStretches][8];
  float held[kStretches][8];

  __device__ static int column(int stretch) {
    return stretch * kNormStretch + static_cast<int>(threadIdx.x) * 8;
  }
  __device__ void load_weights(const float* weight, int cols) {
#pragma unroll
    for (int s = 0; s < kStretches; ++s) load_eight_of(weight, column(s), cols, weights[s]);
  }
  __device__ void load(const float* x, int cols) {
#pragma unroll
    for (int s = 0; s < kStretches; ++s) load_eight_of(x, column(s), cols, held[s]);
  }
  /// x += y: y in global or shared memory.
  __device__ void add(const float* y, int cols, float* x) {
#pragma unroll
    for (int s = 0; s < kStretches; ++s) {
      if (column(s) >= cols) continue;
      const float4 low = reinterpret_cast<const float4*>(y + column(s))[0];
      const float4 high = reinterpret_cast<const float4*>(y + column(s))[1];
      const float of_y[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int d = 0; d < 8; ++d) held[s][d] += of_y[d];
      store(x, s);
    }
  }
  __device__ void store(float* to, int s) const {
    float4* at = reinterpret_cast<float4*>(to + column(s));
    at[0] = make_float4(held[s][0], held[s][1], held[s][2], held[s][3]);
    at[1] = make_float4(held[s][4], held[s][5], held[s][6], held[s][7]);
  }
  /// The order of sums is norm_squares()'s: that of every kernel with this norm.
  __device__ void norm(float eps, int cols, float* shared) {
    float squares = 0.0f;
#pragma unroll
    for (int s = 0; s < kStretches; ++s) squares = norm_squares(held[s], squares);
    const float factor = norm_factor(block_sum(squares, shared), cols, eps);
#pragma unroll
    for (int s = 0; s < kStretches; ++s)
#pragma unroll
      for (int d = 0; d < 8; ++d) held[s][d] = held[s][d] * factor * weights[s][d];
  }
};

/// Rows of decode.
template <int kStretches, bool kAdapted>
__global__ void __launch_bounds__(kNormThreads)
    add_norm_kernel(const __grid_constant__ NormArgs args, const __grid_constant__ Deltas deltas) {
  extern __shared__ __align__(16) float whole[];  // y with its deltas
  __shared__ float shared[32];
  __shared__ RowEntries found;
  allow_next();
  const int row = static_cast<int>(blockIdx.x);
  const int tid = static_cast<int>(threadIdx.x);
  NormRow<kStretches> own;
  own.load_weights(args.weight, args.cols);  // while x is still being made
  if (kAdapted && tid < 32) found.find(deltas.entries, row, tid);
  begin();
  const long long at = static_cast<long long>(row) * args.cols;
  own.load(args.x + at, args.cols);
  if constexpr (kAdapted) {
    __syncthreads();
    for (int o = tid; o < args.cols; o += kNormThreads)
      whole[o] = with_deltas(deltas, found, 0, row, o, args.y[at + o]);
    __syncthreads();
    own.add(whole, args.cols, args.x + at);
  } else if (args.y) {
    own.add(args.y + at, args.cols, args.x + at);
  }
  own.norm(args.eps, args.cols, shared);
#pragma unroll
  for (int s = 0; s < kStretches; ++s) {
    const int column = own.column(s);
    if (column < args.cols) own.store(args.out + at, s);
    if (any_columns(args.tiles))
      put_columns(args.tiles, row, column, args.cols, column < args.cols, own.held[s]);
  }
}

/// Rows of a prompt. The row is rounded from shared memory.
template <int kStretches, Element Type>
__global__ void __launch_bounds__(kNormThreads, kStretches == 1 ? 2 : 1)
    add_norm_halves_kernel(const __grid_constant__ NormArgs args) {
  extern __shared__ __align__(16) float whole[];
  __shared__ float shared[32];
  allow_next();
  const int row = static_cast<int>(blockIdx.x);
  NormRow<kStretches> own;
  own.load_weights(args.weight, args.cols);
  begin();
  const long long at = static_cast<long long>(row) * args.cols;
  own.load(args.x + at, args.cols);
  if (args.y) own.add(args.y + at, args.cols, args.x + at);
  own.norm(args.eps, args.cols, shared);
  float largest = 0.0f;
  bool finite = true;
#pragma unroll
  for (int s = 0; s < kStretches; ++s) {
    if (own.column(s) >= args.cols) continue;
    own.store(args.out + at, s);
    own.store(whole, s);
#pragma unroll
    for (const float value : own.held[s]) {
      largest = fmaxf(largest, fabsf(value));
      finite = finite && isfinite(value);
    }
  }
  __syncthreads();  // `shared` has been read
  largest = row_largest<kNormThreads / 32>(largest, finite, shared);
  put_halves<Type, kNormThreads / 32>(args.tiles.halves, row, args.cols, whole, largest, finite);
}

template <int kStretches>
void add_norm_of(const NormArgs& args, const Deltas& deltas, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(args.rows));
  const std::size_t row_bytes = static_cast<std::size_t>(args.cols) * sizeof(float);
  if (args.tiles.halves.halves)
    launch(args.tiles.element == Element::kBF16 ? add_norm_halves_kernel<kStretches, Element::kBF16>
                                                : add_norm_halves_kernel<kStretches, Element::kF16>,
           grid, kNormThreads, row_bytes, stream, args);
  else if (deltas.of.count > 0)
    launch(add_norm_kernel<kStretches, true>, grid, kNormThreads, row_bytes, stream, args, deltas);
  else
    launch(add_norm_kernel<kStretches, false>, grid, kNormThreads, 0, stream, args, deltas);
}

}  // namespace

void load_norm_kernels() {
  load_kernel(add_norm_kernel<1, false>);
  load_kernel(add_norm_kernel<1, true>);
  load_kernel(add_norm_halves_kernel<1, Element::kBF16>);
}

void add_norm(const NormArgs& args, const Deltas& deltas, cudaStream_t stream) {
  if (args.cols <= kNormStretch) return add_norm_of<1>(args, deltas, stream);
  add_norm_of<2>(args, deltas, stream);
}

}  // namespace bobby::cuda
