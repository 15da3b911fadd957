// Attention of a prompt's rows: 64 rows of a head a block, keys and values 64 at a time. q and the
// weights of the values are split in two halves each, so that products are as good as fp32's.

#include <cuda_fp16.h>

#include "backends/cuda/launch.cuh"
#include "backends/cuda/prefill_attention.h"

namespace bobby::cuda {
namespace {

constexpr int kRows = 64;  // of q in a block, 16 a warp
constexpr int kKeys = 64;  // at a time
constexpr int kThreads = 128;

/// Bytes from one row of keys to the next in shared memory: 16 more than it has, so that eight rows
/// of a matrix lie in different banks.
template <int Dim>
constexpr int kPitch = Dim * 2 + 16;
template <int Dim>
constexpr int kTile = kKeys* kPitch<Dim>;

__device__ unsigned address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

__device__ void copy_16(void* to, const void* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address(to)), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}

__device__ void load_matrices(unsigned (&to)[4], const unsigned char* from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address(from)));
}
__device__ void load_transposed(unsigned (&to)[4], const unsigned char* from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address(from)));
}

/// c += a b: a [16, 16], b [16, 8] of halves.
__device__ void multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Two numbers as a pair of halves and the pair of what those leave.
__device__ void split(float first, float second, unsigned& high, unsigned& low) {
  const __half2 rounded = __floats2half2_rn(first, second);
  const float2 back = __half22float2(rounded);
  const __half2 rest = __floats2half2_rn(first - back.x, second - back.y);
  high = *reinterpret_cast<const unsigned*>(&rounded);
  low = *reinterpret_cast<const unsigned*>(&rest);
}

/// Keys (or values) of the positions from `first` on into a tile; what lies past `end` is zero.
template <int Dim>
__device__ void fetch(unsigned char* tile, const KvLayer& kv, const int* blocks, int values,
                      int head, int first, int end) {
  constexpr int kPieces = Dim * 2 / 16;  // of a row
  for (int i = static_cast<int>(threadIdx.x); i < kKeys * kPieces; i += kThreads) {
    const int key = i / kPieces;
    const int piece = i % kPieces;
    const int position = min(first + key, end - 1);
    const long long block = blocks[position / kv.block_tokens];
    const unsigned char* from = kv.data + ((2 * block + values) * kv.heads + head) * kv.part_bytes +
                                (position % kv.block_tokens) * Dim * 2 + piece * 16;
    copy_16(tile + key * kPitch<Dim> + piece * 16, from, first + key < end);
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// A warp's 16 rows.
template <int Dim>
struct Rows {
  unsigned high[Dim / 16][4], low[Dim / 16][4];  // q
  float out[Dim / 8][4];
  float most[2], total[2];

  /// Rows past the last repeat it.
  __device__ void load(const float* q, int stride, int first, int count, float scale, int lane) {
#pragma unroll
    for (int k = 0; k < Dim / 16; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = min(first + lane / 4 + i % 2 * 8, count - 1);
        const float2 two = *reinterpret_cast<const float2*>(
            q + static_cast<long long>(row) * stride + k * 16 + i / 2 * 8 + lane % 4 * 2);
        split(two.x * scale, two.y * scale, high[k][i], low[k][i]);
      }
#pragma unroll
    for (auto& eight : out)
#pragma unroll
      for (float& value : eight) value = 0.0f;
    for (int i = 0; i < 2; ++i) {
      most[i] = -INFINITY;
      total[i] = 0.0f;
    }
  }

  __device__ void scores(const unsigned char* keys, int lane, float (&to)[kKeys / 8][4]) const {
#pragma unroll
    for (auto& eight : to)
#pragma unroll
      for (float& value : eight) value = 0.0f;
    const unsigned char* from = keys + (lane % 8 + lane / 16 * 8) * kPitch<Dim> + lane / 8 % 2 * 16;
#pragma unroll
    for (int k = 0; k < Dim / 16; ++k)
#pragma unroll
      for (int n = 0; n < kKeys / 16; ++n) {
        unsigned b[4];
        load_matrices(b, from + n * 16 * kPitch<Dim> + k * 32);
        multiply(to[n * 2], low[k], b[0], b[1]);
        multiply(to[n * 2 + 1], low[k], b[2], b[3]);
        multiply(to[n * 2], high[k], b[0], b[1]);
        multiply(to[n * 2 + 1], high[k], b[2], b[3]);
      }
  }

  /// Scores, in powers of two, become weights; what was added so far is brought to the new largest.
  __device__ void weigh(float (&scores)[kKeys / 8][4]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float largest = most[i];
#pragma unroll
      for (const auto& eight : scores)
        largest = fmaxf(largest, fmaxf(eight[i * 2], eight[i * 2 + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
      const float shrink = exp2f(most[i] - largest);  // the first span has position 0: finite
      most[i] = largest;
      float sum = 0.0f;
#pragma unroll
      for (auto& eight : scores)
#pragma unroll
        for (int j = i * 2; j < i * 2 + 2; ++j) {
          eight[j] = exp2f(eight[j] - largest);
          sum += eight[j];
        }
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      total[i] = fmaf(total[i], shrink, sum);
#pragma unroll
      for (auto& eight : out) {
        eight[i * 2] *= shrink;
        eight[i * 2 + 1] *= shrink;
      }
    }
  }

  __device__ void add_values(const unsigned char* values, int lane,
                             const float (&weights)[kKeys / 8][4]) {
    const unsigned char* from = values + (lane % 16) * kPitch<Dim> + lane / 16 * 16;
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      unsigned above[4], below[4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        split(weights[k * 2 + i / 2][i % 2 * 2], weights[k * 2 + i / 2][i % 2 * 2 + 1], above[i],
              below[i]);
#pragma unroll
      for (int n = 0; n < Dim / 16; ++n) {
        unsigned b[4];
        load_transposed(b, from + k * 16 * kPitch<Dim> + n * 32);
        multiply(out[n * 2], below, b[0], b[1]);
        multiply(out[n * 2 + 1], below, b[2], b[3]);
        multiply(out[n * 2], above, b[0], b[1]);
        multiply(out[n * 2 + 1], above, b[2], b[3]);
      }
    }
  }
};

template <int Dim>
__global__ void __launch_bounds__(kThreads)
    prompt_kernel(AttendArgs args, PromptRows rows, KvLayer kv, Places places) {
  extern __shared__ __align__(16) unsigned char tiles[];  // two of keys, two of values
  allow_next();
  begin();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  // The longest rows first.
  const int first_row = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kRows;
  const int head = static_cast<int>(blockIdx.y);
  const int kv_head = head / (args.heads / kv.heads);
  const int* blocks = places.blocks + rows.blocks_begin;
  const int own_row = first_row + warp * 16;
  const int end = rows.position + min(first_row + kRows, rows.row_count);  // of the positions
  const auto fetch_both = [&](int first, int stage) {
    fetch<Dim>(tiles + stage * kTile<Dim>, kv, blocks, 0, kv_head, first, end);
    fetch<Dim>(tiles + (2 + stage) * kTile<Dim>, kv, blocks, 1, kv_head, first, end);
  };
  fetch_both(0, 0);
  constexpr float kLog2E = 1.44269504088896f;
  const int stride = args.heads * Dim;
  const long long at = static_cast<long long>(rows.row_begin) * stride + head * Dim;
  Rows<Dim> own;
  own.load(args.q + at, stride, own_row, rows.row_count, args.scale * kLog2E, lane);
  for (int first = 0, stage = 0; first < end; first += kKeys, stage ^= 1) {
    if (first + kKeys < end) {
      fetch_both(first + kKeys, stage ^ 1);
      asm volatile("cp.async.wait_group 2;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    }
    __syncthreads();
    float scores[kKeys / 8][4];
    own.scores(tiles + stage * kTile<Dim>, lane, scores);
    if (first + kKeys > rows.position + own_row) {  // not every row sees every key
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (first + n * 8 + lane % 4 * 2 + i % 2 > rows.position + own_row + lane / 4 + i / 2 * 8)
            scores[n][i] = -INFINITY;
    }
    own.weigh(scores);
    own.add_values(tiles + (2 + stage) * kTile<Dim>, lane, scores);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = own_row + lane / 4 + i * 8;
    if (row >= rows.row_count) continue;
    float* to = args.out + at + static_cast<long long>(row) * stride + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < Dim / 8; ++n)
      *reinterpret_cast<float2*>(to + n * 8) =
          make_float2(own.out[n][i * 2] / own.total[i], own.out[n][i * 2 + 1] / own.total[i]);
  }
}

template <int Dim>
void launch_prompt(const AttendArgs& args, const PromptRows& rows, const KvLayer& kv,
                   const Places& places, cudaStream_t stream) {
  static const bool once = [] {
    cudaFuncSetAttribute(prompt_kernel<Dim>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         4 * kTile<Dim>);
    return true;
  }();
  (void)once;
  launch(prompt_kernel<Dim>,
         dim3(blocks_for(rows.row_count, kRows), static_cast<unsigned>(args.heads)), kThreads,
         4 * kTile<Dim>, stream, args, rows, kv, places);
}

}  // namespace

bool has_prompt_attention(const KvLayer& kv) {
  return kv.format == KvFormat::kF16 && (kv.head_dim == 64 || kv.head_dim == 128);
}

void load_prompt_attention(const KvLayer& kv) {
  if (!has_prompt_attention(kv)) return;
  kv.head_dim == 128 ? load_kernel(prompt_kernel<128>) : load_kernel(prompt_kernel<64>);
}

void attend_prompt(const AttendArgs& args, const PromptRows& rows, const KvLayer& kv,
                   const Places& places, cudaStream_t stream) {
  if (kv.head_dim == 128)
    launch_prompt<128>(args, rows, kv, places, stream);
  else
    launch_prompt<64>(args, rows, kv, places, stream);
}

}  // namespace bobby::cuda
