// Quantised weights: x in q15, one row of it by dp4a, several on tensor cores.

#include "backends/cuda/linear_kernels.cuh"

namespace bobby::cuda {
namespace {

constexpr unsigned kFewTiles = 600;  // fewer keep too little of a large device busy
constexpr int kLevel = 16383;        // q15: what the largest number of a group becomes

// --- x -> q15 --------------------------------------------------------------------------------

/// Where column i of a chunk stands among its bytes: 4-bit words give their even nibbles first.
__device__ int byte_of(int i, int bits) {
  if (bits != 4) return i;
  return (i & ~7) | ((i & 1) << 2) | ((i & 7) >> 1);
}

/// A warp a group.
__global__ void quantize_kernel(const float* x, int cols, int group_size, int bits, Quantized to) {
  allow_next();
  begin();
  const int group = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  if (group * group_size >= cols) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int chunks = cols / kChunk;
  const int chunks_a_group = group_size / kChunk;
  const long long row = blockIdx.y;
  const float* from = x + row * cols + group * group_size + lane;
  float values[4];
  float largest = 0.0f;
  bool finite = true;
  for (int i = 0; i < 4; ++i) {
    if (i >= chunks_a_group) break;
    values[i] = from[i * kChunk];
    finite = finite && isfinite(values[i]);
    largest = fmaxf(largest, fabsf(values[i]));
  }
  largest = fmaxf(warp_max(largest), 0x1p-100f);
  finite = __all_sync(0xffffffffu, finite);
  const float scale = finite ? largest / kLevel : __int_as_float(0x7fc00000);
  const float inverse = finite ? kLevel / largest : 0.0f;
  auto* bytes = reinterpret_cast<signed char*>(to.planes + row * 4 * chunks);
  const int byte = byte_of(lane, bits);
  for (int i = 0; i < 4; ++i) {
    if (i >= chunks_a_group) break;
    const int chunk = group * chunks_a_group + i;
    const int q = finite ? __float2int_rn(values[i] * inverse) : 0;
    const long long at = (static_cast<long long>(byte / 16) * chunks + chunk) * 16 + byte % 16;
    bytes[at] = static_cast<signed char>(q >> 7);
    bytes[at + 2ll * chunks * 16] = static_cast<signed char>(q & 127);
    // Of the rounded numbers: then an error of one meets scale * q + bias, the weight itself.
    const int sum = __reduce_add_sync(0xffffffffu, q);
    if (lane == 0)
      to.scales[row * chunks + chunk] = make_float2(scale, scale * static_cast<float>(sum));
  }
}

// --- affine weights --------------------------------------------------------------------------

/// Eight consecutive levels of a row as two words of bytes: from `Bits` bytes.
template <int Bits>
__device__ uint2 spread(unsigned long long packed) {
  if constexpr (Bits == 8) {
    return make_uint2(static_cast<unsigned>(packed), static_cast<unsigned>(packed >> 32));
  } else if constexpr (Bits == 4) {
    const auto word = static_cast<unsigned>(packed);
    return make_uint2(word & 0x0f0f0f0fu, (word >> 4) & 0x0f0f0f0fu);
  } else {
    constexpr unsigned kMask = (1u << Bits) - 1;
    uint2 levels = make_uint2(0, 0);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      levels.x |= (static_cast<unsigned>(packed >> (i * Bits)) & kMask) << (8 * i);
      levels.y |= (static_cast<unsigned>(packed >> ((i + 4) * Bits)) & kMask) << (8 * i);
    }
    return levels;
  }
}

/// Quarter t of a chunk, eight levels, still packed.
template <int Bits>
__device__ unsigned long long load_quarter(const unsigned char* chunk, int t) {
  if constexpr (Bits == 8) {
    const uint2 words = reinterpret_cast<const uint2*>(chunk)[t];
    return words.x | static_cast<unsigned long long>(words.y) << 32;
  } else if constexpr (Bits == 4) {
    return reinterpret_cast<const unsigned*>(chunk)[t];
  } else {
    unsigned long long packed = 0;
#pragma unroll
    for (int i = 0; i < Bits; ++i)
      packed |= static_cast<unsigned long long>(chunk[t * Bits + i]) << (8 * i);
    return packed;
  }
}

/// A chunk of one row in registers.
template <int Bits>
struct Packed {
  unsigned long long quarter[4];

  __device__ void load(const unsigned char* chunk) {
    if constexpr (Bits == 4) {
      const uint4 words = __ldcs(reinterpret_cast<const uint4*>(chunk));
      quarter[0] = words.x;
      quarter[1] = words.y;
      quarter[2] = words.z;
      quarter[3] = words.w;
    } else {
#pragma unroll
      for (int t = 0; t < 4; ++t) quarter[t] = load_quarter<Bits>(chunk, t);
    }
  }
};

__device__ int dot4(unsigned levels, unsigned x, int sum) {
  asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(levels), "r"(x));
  return sum;
}

/// What a chunk adds to an output: scale * q . x + bias * sum of x. The one place of this rounding.
__device__ float add_chunk(float sum, int product, float scale, float bias, float2 x) {
  sum = fmaf(scale * x.x, static_cast<float>(product), sum);
  return fmaf(bias, x.y, sum);
}

/// One row of x: a warp takes kRows rows of the weight (one where there are too few for the
/// device), lane l the chunks l, l + 32, ...; the lanes' sums are added as by warp_sum().
template <int Bits, int kRows, Element Type>
__global__ void __launch_bounds__(kThreads, Bits == 4 ? (kRows == 1 ? 4 : 2) : 1)
    gemv_kernel(Matrices matrices, Quantized x) {
  constexpr int kAhead = Bits == 4 ? 4 : 2;  // chunks in flight a lane and row
  allow_next();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  constexpr int kBlocks = 2 / kRows;  // blocks that share a tile
  const int tile = static_cast<int>(blockIdx.x) / kBlocks;
  const int part = static_cast<int>(blockIdx.x) % kBlocks;
  const Matrix& matrix = matrix_of(matrices, tile);
  const int row = (tile - matrix.tiles_before) * kTileRows + (part * kWarps + warp) * kRows;
  const int chunks = matrices.cols / kChunk;
  const int groups = chunks / matrices.chunks_a_group;
  const unsigned char* weights[kRows];
  long long first_group[kRows];
  float sums[kRows] = {};
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const long long at = min(row + r, matrix.rows - 1);
    weights[r] = static_cast<const unsigned char*>(matrix.weight) + at * chunks * (Bits * 4);
    first_group[r] = at * groups;
  }
  bool waited = false;
  for (int c = lane; c < chunks + lane; c += 32 * kAhead) {  // all lanes the same number of times
    Packed<Bits> packed[kAhead][kRows];
    float scale[kAhead][kRows], bias[kAhead][kRows];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int chunk = min(c + 32 * i, chunks - 1);
      const int group = chunk / matrices.chunks_a_group;
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        packed[i][r].load(weights[r] + static_cast<long long>(chunk) * (Bits * 4));
        scale[i][r] = widen<Type>(matrix.scales, first_group[r] + group);
        bias[i][r] = widen<Type>(matrix.biases, first_group[r] + group);
      }
    }
    if (!waited) begin();  // the weights are under way while x is still being made
    waited = true;
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int chunk = c + 32 * i;
      if (chunk >= chunks) continue;
      int high[kRows] = {}, low[kRows] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4 hi = x.planes[half * chunks + chunk];
        const uint4 lo = x.planes[(half + 2) * chunks + chunk];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          const uint2 first = spread<Bits>(packed[i][r].quarter[half * 2]);
          const uint2 second = spread<Bits>(packed[i][r].quarter[half * 2 + 1]);
          high[r] = dot4(first.x, hi.x, high[r]);
          high[r] = dot4(first.y, hi.y, high[r]);
          high[r] = dot4(second.x, hi.z, high[r]);
          high[r] = dot4(second.y, hi.w, high[r]);
          low[r] = dot4(first.x, lo.x, low[r]);
          low[r] = dot4(first.y, lo.y, low[r]);
          low[r] = dot4(second.x, lo.z, low[r]);
          low[r] = dot4(second.y, lo.w, low[r]);
        }
      }
      const float2 scales = x.scales[chunk];
#pragma unroll
      for (int r = 0; r < kRows; ++r)
        sums[r] = add_chunk(sums[r], high[r] * 128 + low[r], scale[i][r], bias[i][r], scales);
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float sum = warp_sum(sums[r]);
    if (lane == 0 && row + r < matrix.rows) matrix.out[row + r] = sum;
  }
}

/// c += a b with a [16, 32] levels, b [32, 8] signed bytes, c [16, 8] integers. Any order of the 32
/// will do, as long as a and b have the same: the sums are exact.
__device__ void multiply_tile(int (&c)[4], const unsigned (&a)[4], uint2 b) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
}

/// Tiles * 8 rows of x at once, on tensor cores. Warp w takes the chunks w, w + 8, ...: those of
/// the lanes w, w + 8, w + 16 and w + 24 of gemv_kernel(), whose sums are kept apart and added in
/// the order of warp_sum(): the same bits.
template <int Bits, int Tiles, Element Type>
__global__ void __launch_bounds__(kThreads, Tiles == 4 ? 1 : 2)
    tile_kernel(Matrices matrices, Quantized x, int x_rows) {
  __shared__ float parts[kWarps][Tiles][kTileRows][8];
  allow_next();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int quad = lane / 4;
  const int t = lane % 4;
  const int tile = static_cast<int>(blockIdx.x);
  const Matrix& matrix = matrix_of(matrices, tile);
  const int first_row = (tile - matrix.tiles_before) * kTileRows;
  const int x_begin = static_cast<int>(blockIdx.y) * Tiles * 8;
  const int chunks = matrices.cols / kChunk;
  const int groups = chunks / matrices.chunks_a_group;
  const long long row0 = min(first_row + quad, matrix.rows - 1);
  const long long row1 = min(first_row + quad + 8, matrix.rows - 1);
  const auto* weights = static_cast<const unsigned char*>(matrix.weight);
  const auto* bytes = reinterpret_cast<const unsigned char*>(x.planes);
  float sums[4][Tiles][4] = {};
  int x_bytes[Tiles], x_scales[Tiles][2];  // where this lane's rows of x begin
#pragma unroll
  for (int j = 0; j < Tiles; ++j) {
    const int column = min(x_begin + j * 8 + quad, x_rows - 1);
    x_bytes[j] = (column * 4 + t / 2) * chunks * 16 + (t % 2) * 8;
    for (int i = 0; i < 2; ++i)
      x_scales[j][i] = min(x_begin + j * 8 + t * 2 + i, x_rows - 1) * chunks;
  }
  begin();
  for (int first = warp; first < chunks; first += 32) {
    unsigned long long packed[4][2];
    float scale[4][2], bias[4][2];
#pragma unroll
    for (int part = 0; part < 4; ++part) {  // all loads before the first use
      const int chunk = min(first + part * 8, chunks - 1);
      const int group = chunk / matrices.chunks_a_group;
      const unsigned char* at = weights + static_cast<long long>(chunk) * (Bits * 4);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const long long row = r == 0 ? row0 : row1;
        packed[part][r] = load_quarter<Bits>(at + row * chunks * (Bits * 4), t);
        scale[part][r] = widen<Type>(matrix.scales, row * groups + group);
        bias[part][r] = widen<Type>(matrix.biases, row * groups + group);
      }
    }
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      const int chunk = first + part * 8;
      if (chunk >= chunks) continue;
      uint2 hi[Tiles], lo[Tiles];
      float2 even[Tiles], odd[Tiles];
#pragma unroll
      for (int j = 0; j < Tiles; ++j) {
        const unsigned char* plane = bytes + x_bytes[j] + chunk * 16;
        hi[j] = *reinterpret_cast<const uint2*>(plane);
        lo[j] = *reinterpret_cast<const uint2*>(plane + 2ll * chunks * 16);
        even[j] = x.scales[x_scales[j][0] + chunk];
        odd[j] = x.scales[x_scales[j][1] + chunk];
      }
      const uint2 above = spread<Bits>(packed[part][0]);
      const uint2 below = spread<Bits>(packed[part][1]);
      const unsigned a[4] = {above.x, below.x, above.y, below.y};
#pragma unroll
      for (int j = 0; j < Tiles; ++j) {
        int c[4] = {};
        multiply_tile(c, a, hi[j]);
#pragma unroll
        for (int& value : c) value *= 128;
        multiply_tile(c, a, lo[j]);
        float(&sum)[4] = sums[part][j];
        sum[0] = add_chunk(sum[0], c[0], scale[part][0], bias[part][0], even[j]);
        sum[1] = add_chunk(sum[1], c[1], scale[part][0], bias[part][0], odd[j]);
        sum[2] = add_chunk(sum[2], c[2], scale[part][1], bias[part][1], even[j]);
        sum[3] = add_chunk(sum[3], c[3], scale[part][1], bias[part][1], odd[j]);
      }
    }
  }
#pragma unroll
  for (int j = 0; j < Tiles; ++j)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      parts[warp][j][quad + (i / 2) * 8][t * 2 + i % 2] =
          (sums[0][j][i] + sums[2][j][i]) + (sums[1][j][i] + sums[3][j][i]);
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < Tiles * kTileRows * 8; i += kThreads) {
    const int row = i % kTileRows;
    const int column = i / kTileRows % 8;
    const int j = i / (kTileRows * 8);
    const auto part = [&](int w) { return parts[w][j][row][column]; };
    const float even = (part(0) + part(4)) + (part(2) + part(6));
    const float odd = (part(1) + part(5)) + (part(3) + part(7));
    const int x_row = x_begin + j * 8 + column;
    if (first_row + row < matrix.rows && x_row < x_rows)
      matrix.out[static_cast<long long>(x_row) * matrix.rows + first_row + row] = even + odd;
  }
}

template <int Bits, Element Type>
void affine_product_of(const Matrices& matrices, Quantized x, int rows, cudaStream_t stream) {
  const auto tiles = static_cast<unsigned>(matrices.tiles);
  if (rows == 1 && tiles < kFewTiles)
    launch(gemv_kernel<Bits, 1, Type>, dim3(2 * tiles), kThreads, 0, stream, matrices, x);
  else if (rows == 1)
    launch(gemv_kernel<Bits, 2, Type>, dim3(tiles), kThreads, 0, stream, matrices, x);
  else if (rows <= 8)
    launch(tile_kernel<Bits, 1, Type>, dim3(tiles), kThreads, 0, stream, matrices, x, rows);
  else if (rows <= 16)
    launch(tile_kernel<Bits, 2, Type>, dim3(tiles), kThreads, 0, stream, matrices, x, rows);
  else
    launch(tile_kernel<Bits, 4, Type>, dim3(tiles, blocks_for(rows, 32)), kThreads, 0, stream,
           matrices, x, rows);
}

}  // namespace

void quantize(const float* x, int rows, int cols, int group_size, int bits, Quantized to,
              cudaStream_t stream) {
  const dim3 grid(blocks_for(cols / group_size, kWarps), static_cast<unsigned>(rows));
  launch(quantize_kernel, grid, kThreads, 0, stream, x, cols, group_size, bits, to);
}

void affine_product(const Matrices& matrices, Quantized x, int rows, cudaStream_t stream) {
  dispatch(matrices.element, [&]<Element Type>() {
    switch (matrices.bits) {
      case 2: return affine_product_of<2, Type>(matrices, x, rows, stream);
      case 3: return affine_product_of<3, Type>(matrices, x, rows, stream);
      case 4: return affine_product_of<4, Type>(matrices, x, rows, stream);
      case 5: return affine_product_of<5, Type>(matrices, x, rows, stream);
      case 6: return affine_product_of<6, Type>(matrices, x, rows, stream);
      default: return affine_product_of<8, Type>(matrices, x, rows, stream);
    }
  });
}

}  // namespace bobby::cuda
