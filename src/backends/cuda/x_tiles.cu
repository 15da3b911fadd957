// x rounded for the products of whole warpgroups.

#include <cuda_fp16.h>

#include "backends/cuda/tiled.cuh"
#include "backends/cuda/x_tiles.h"

namespace bobby::cuda {
namespace {

/// Where byte `byte` of row `row` of a tile lies: 16-byte pieces change places in eight rows.
template <int kRowBytes>
__device__ int swizzled(int row, int byte) {
  const int turn = kRowBytes == 128 ? row & 7 : row >> 1 & 3;
  return row * kRowBytes + (((byte >> 4) ^ turn) << 4) + (byte & 15);
}

__device__ float silu_times(float gate, float up) {
  return gate / (1.0f + expf(-gate)) * up;
}

/// A warp a group, lane l the columns 2 l and 2 l + 1. A column's byte follows from the fragment
/// of the weight that it meets: the low nibbles of four words, then their high ones.
template <bool kGated>
__global__ void byte_tiles_kernel(float* x, Gated gated, int cols, ByteTiles to) {
  allow_next();
  begin();
  const int groups = cols / kTileGroup;
  const int group = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  if (group >= groups) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(blockIdx.y);
  const long long from = static_cast<long long>(row) * cols + group * kTileGroup;
  float2 values;
  if constexpr (kGated) {
    const float2 gate = reinterpret_cast<const float2*>(gated.gate + from)[lane];
    const float2 up = reinterpret_cast<const float2*>(gated.up + from)[lane];
    values = make_float2(silu_times(gate.x, up.x), silu_times(gate.y, up.y));
    reinterpret_cast<float2*>(x + from)[lane] = values;
  } else {
    values = reinterpret_cast<const float2*>(x + from)[lane];
  }
  const bool finite = __all_sync(0xffffffffu, isfinite(values.x) && isfinite(values.y));
  const Q15 form = q15_of(warp_max(fmaxf(fabsf(values.x), fabsf(values.y))), finite);
  const int first = q15(values.x, form.inverse);
  const int second = q15(values.y, form.inverse);
  const long long at = static_cast<long long>(group) * to.columns + row;
  unsigned char* tile = to.bytes + static_cast<long long>(group) * to.columns * 128;
  const int byte = lane / 16 * 32 + lane % 16;  // of column 2 l
  const int low = row + to.columns;
  tile[swizzled<64>(row, byte)] = static_cast<unsigned char>(first >> 7);
  tile[swizzled<64>(row, byte + 16)] = static_cast<unsigned char>(second >> 7);
  tile[swizzled<64>(low, byte)] = static_cast<unsigned char>(first & 127);
  tile[swizzled<64>(low, byte + 16)] = static_cast<unsigned char>(second & 127);
  const int sum = __reduce_add_sync(0xffffffffu, first + second);
  if (lane == 0) to.scales[at] = make_float2(form.scale, form.scale * static_cast<float>(sum));
}

/// `sum` as three 16-bit numbers that add up to it, 16 columns apart in a row of a tile of sums.
template <Element Type>
__device__ void put_sum(unsigned char* tile, int row, int column, float sum) {
#pragma unroll
  for (int piece = 0; piece < 3; ++piece) {
    unsigned short bits;
    float taken;
    if constexpr (Type == Element::kBF16) {
      const __nv_bfloat16 rounded = __float2bfloat16_rn(sum);
      bits = __bfloat16_as_ushort(rounded);
      taken = __bfloat162float(rounded);
    } else {
      const __half rounded = __float2half_rn(sum);
      bits = __half_as_ushort(rounded);
      taken = __half2float(rounded);
    }
    sum -= taken;
    *reinterpret_cast<unsigned short*>(
        tile + swizzled<128>(row, (piece * kSumGroups + column) * 2)) = bits;
  }
}

/// A block a row: its largest number, then a warp a group, lane l the columns l and l + 32.
template <Element Type, bool kGated>
__global__ void half_tiles_kernel(float* x, Gated gated, int cols, HalfTiles to) {
  __shared__ float shared[32];
  __shared__ float largest_of_row;
  allow_next();
  begin();
  const int row = static_cast<int>(blockIdx.x);
  const int tid = static_cast<int>(threadIdx.x);
  const int warp = tid / 32;
  const int lane = tid % 32;
  const long long begin_of_row = static_cast<long long>(row) * cols;
  float* from = x + begin_of_row;
  float largest = 0.0f;
  bool finite = true;
  for (int i = tid; i < cols / 4; i += kThreads) {
    float4 some;
    if constexpr (kGated) {
      const float4 gate = reinterpret_cast<const float4*>(gated.gate + begin_of_row)[i];
      const float4 up = reinterpret_cast<const float4*>(gated.up + begin_of_row)[i];
      some = make_float4(silu_times(gate.x, up.x), silu_times(gate.y, up.y),
                         silu_times(gate.z, up.z), silu_times(gate.w, up.w));
      reinterpret_cast<float4*>(from)[i] = some;  // read again below, after a barrier
    } else {
      some = reinterpret_cast<const float4*>(from)[i];
    }
    largest = fmaxf(fmaxf(largest, fmaxf(fabsf(some.x), fabsf(some.y))),
                    fmaxf(fabsf(some.z), fabsf(some.w)));
    finite = finite && isfinite(some.x) && isfinite(some.y) && isfinite(some.z) && isfinite(some.w);
  }
  largest = warp_max(largest);
  if (lane == 0) shared[warp] = largest;
  finite = __syncthreads_and(finite);
  if (warp == 0) {
    largest = warp_max(lane < kWarps ? shared[lane] : 0.0f);
    if (lane == 0) largest_of_row = largest;
  }
  __syncthreads();
  int exponent = 0;
  frexpf(fmaxf(largest_of_row, 0x1p-100f), &exponent);  // largest < 2^exponent
  const float factor = finite ? ldexpf(1.0f, 15 - exponent) : __int_as_float(0x7fc00000);
  if (tid == 0) to.factors[row] = ldexpf(1.0f, exponent - 15);
  const int groups = cols / kTileGroup;
  const int tile_row = row % kHalfTileRows;
  const long long tiles = static_cast<long long>(row / kHalfTileRows) * groups;
  // In eight columns the nibbles 0 and 4, 1 and 5, ... meet as pairs; odd ones stand 2^4 higher.
  const int nibble = lane % 8;
  const int t = lane / 8;
  const int half = nibble / 2 % 2 * 16 + nibble % 2 * 8 + t * 2 + nibble / 4;
  const float raise = nibble % 2 ? 0.0625f : 1.0f;
  const int sum_tiles = (groups + kSumGroups - 1) / kSumGroups;
  unsigned char* sums =
      to.sums + static_cast<long long>(row / kHalfTileRows) * sum_tiles * kHalfTileRows * 128;
  // Eight groups a warp, all loads before the first use; lane i gets the sum of group i.
  for (int first = warp * 8; first < sum_tiles * kSumGroups; first += kWarps * 8) {
    float values[8][2];
#pragma unroll
    for (int g = 0; g < 8; ++g)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        values[g][i] =
            first + g < groups ? from[(first + g) * kTileGroup + i * 32 + lane] * factor : 0.0f;
    float own_sum = 0.0f;
#pragma unroll
    for (int g = 0; g < 8; ++g) {
      if (first + g >= groups) break;
      unsigned char* tile = to.halves + (tiles + first + g) * kHalfTileRows * 128;
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const __half rounded = __float2half_rn(values[g][i]);
        const __half stored = __float2half_rn(__half2float(rounded) * raise);
        *reinterpret_cast<__half*>(tile + swizzled<128>(tile_row, (i * 32 + half) * 2)) = stored;
        sum += __half2float(stored) * (nibble % 2 ? 16.0f : 1.0f);
      }
      sum = warp_sum(sum);
      if (lane == g) own_sum = sum;
    }
    if (lane < 8)
      put_sum<Type>(sums + first / kSumGroups * kHalfTileRows * 128, tile_row,
                    first % kSumGroups + lane, own_sum * kSumScale);
  }
}

}  // namespace

void load_x_tiles_kernels() {
  load_kernel(byte_tiles_kernel<false>);
  load_kernel(byte_tiles_kernel<true>);
  load_kernel(half_tiles_kernel<Element::kBF16, false>);
  load_kernel(half_tiles_kernel<Element::kBF16, true>);
}

void to_byte_tiles(float* x, Gated gated, int rows, int cols, ByteTiles to, cudaStream_t stream) {
  const dim3 grid(blocks_for(cols / kTileGroup, kWarps), static_cast<unsigned>(rows));
  launch(gated.gate ? byte_tiles_kernel<true> : byte_tiles_kernel<false>, grid, kThreads, 0, stream,
         x, gated, cols, to);
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
