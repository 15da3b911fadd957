// Four warps a block, 16 rows of the block's own 64 each. Two fragments of sums (rows g and g + 8,
// columns 2 t and 2 t + 1 of eight) are, rounded to bf16, at once one of weights for the next
// product.

#include "backends/cuda/launch.cuh"
#include "backends/cuda/training/attention.h"
#include "backends/cuda/training/instructions.cuh"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kOwn = kChunkRows;  // rows of a block
constexpr int kKeyTile = 64;      // of the forward
constexpr int kOtherTile = 32;    // of the backward

/// bf16 numbers of a row in shared memory: `ldmatrix` then meets no bank twice.
template <int kDim>
constexpr int kStride = kDim + 8;

using Bf16 = unsigned short;

__device__ inline float4 four_of(const float* row, int col, int dim) {
  if (dim % 4 == 0)
    return col < dim ? *reinterpret_cast<const float4*>(row + col) : make_float4(0, 0, 0, 0);
  return make_float4(col < dim ? row[col] : 0.0f, col + 1 < dim ? row[col + 1] : 0.0f,
                     col + 2 < dim ? row[col + 2] : 0.0f, col + 3 < dim ? row[col + 3] : 0.0f);
}

/// Rows [0, kRows) of a head to shared memory in bf16; what does not exist is zero.
template <int kDim, int kRows>
__device__ void fetch(const float* from, long long stride, int rows, int dim, Bf16* to) {
  constexpr int kFours = kDim / 4;
  constexpr int kEach = kRows * kFours / kThreads;  // of a thread
  constexpr int kAtOnce = kEach < 8 ? kEach : 8;    // loads that wait together
  for (int first = 0; first < kEach; first += kAtOnce) {
    float4 fours[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int place = (first + i) * kThreads + static_cast<int>(threadIdx.x);
      const int row = place / kFours;
      fours[i] = row < rows ? four_of(from + row * stride, place % kFours * 4, dim)
                            : make_float4(0, 0, 0, 0);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int place = (first + i) * kThreads + static_cast<int>(threadIdx.x);
      *reinterpret_cast<uint2*>(to + place / kFours * kStride<kDim> + place % kFours * 4) =
          make_uint2(pack_bf16(fours[i].x, fours[i].y), pack_bf16(fours[i].z, fours[i].w));
    }
  }
}

struct Lane {
  int g = static_cast<int>(threadIdx.x) % 32 / 4;
  int t = static_cast<int>(threadIdx.x) % 4;
  __device__ Lane() {}
};

/// sums [16, kTiles * 8] = the warp's 16 rows of `own` times rows of `other`.
template <int kDim, int kTiles>
__device__ void multiply_rows(const Bf16* own, const Bf16* other, float (&sums)[kTiles][4]) {
  constexpr int kLong = kStride<kDim>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  own += lane % 16 * kLong + lane / 16 * 8;
  other += (lane / 16 * 8 + lane % 8) * kLong + lane / 8 % 2 * 8;
#pragma unroll
  for (int j = 0; j < kTiles; ++j)
#pragma unroll
    for (float& sum : sums[j]) sum = 0.0f;
#pragma unroll
  for (int k = 0; k < kDim; k += 16) {
    unsigned a[4];
    load_matrices(a, own + k);
#pragma unroll
    for (int j = 0; j < kTiles; j += 2) {
      unsigned b[4];
      load_matrices(b, other + j * 8 * kLong + k);
      mma_bf16(sums[j], a, b[0], b[1]);
      mma_bf16(sums[j + 1], a, b[2], b[3]);
    }
  }
}

/// sums [16, kDim] += weights [16, kTiles * 8] times rows of `other`.
template <int kDim, int kTiles>
__device__ void add_weighted(const float (&weights)[kTiles][4], const Bf16* other,
                             float (&sums)[kDim / 8][4]) {
  constexpr int kLong = kStride<kDim>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  other += lane % 16 * kLong + lane / 16 * 8;
#pragma unroll
  for (int j = 0; j < kTiles; j += 2) {
    const unsigned a[4] = {pack_bf16(weights[j][0], weights[j][1]),
                           pack_bf16(weights[j][2], weights[j][3]),
                           pack_bf16(weights[j + 1][0], weights[j + 1][1]),
                           pack_bf16(weights[j + 1][2], weights[j + 1][3])};
#pragma unroll
    for (int n = 0; n < kDim / 8; n += 2) {
      unsigned b[4];
      load_transposed(b, other + j * 8 * kLong + n * 8);
      mma_bf16(sums[n], a, b[0], b[1]);
      mma_bf16(sums[n + 1], a, b[2], b[3]);
    }
  }
}

/// Of the four lanes that share a row.
__device__ inline float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}
__device__ inline float row_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

/// The warp's sums to rows of a head.
template <int kDim>
__device__ void write_rows(const float (&sums)[kDim / 8][4], float* to, long long stride, int rows,
                           int dim) {
  const Lane lane;
  const int first = static_cast<int>(threadIdx.x) / 32 * 16 + lane.g;
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = first + i / 2 * 8;
      const int col = n * 8 + lane.t * 2 + i % 2;
      if (row < rows && col < dim) to[row * stride + col] = sums[n][i];
    }
}

/// Largest score and sum of exponentials of a lane's two rows, as keys come.
struct Softmax {
  float largest[2] = {-INFINITY, -INFINITY};
  float sum[2] = {};  // this lane's part

  /// Scores of keys from `key` on to weights, seen by positions `position` and `position` + 8;
  /// `factors`: what the sums so far are to be multiplied by.
  template <int kTiles>
  __device__ void weigh(float (&scores)[kTiles][4], float scale, int key, int position,
                        float (&factors)[2]) {
    const Lane lane;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = largest[r];
#pragma unroll
      for (int j = 0; j < kTiles; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[j][r * 2 + i];
          const bool seen = key + j * 8 + lane.t * 2 + i <= position + r * 8;
          score = seen ? score * scale : -INFINITY;
          most = fmaxf(most, score);
        }
      most = row_max(most);
      factors[r] = expf(largest[r] - most);
      largest[r] = most;
      sum[r] *= factors[r];
#pragma unroll
      for (int j = 0; j < kTiles; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& score = scores[j][r * 2 + i];
          score = expf(score - most);
          sum[r] += score;
        }
    }
  }
};

/// Where a block's chunk and head lie.
struct Place {
  SequenceChunk chunk;
  long long first;  ///< row of the sequence's position 0
  int head;
  __device__ Place(const SequenceChunk* chunks, const int* order)
      : chunk(chunks[order[blockIdx.x]]),
        first(chunk.begin - chunk.position),
        head(static_cast<int>(blockIdx.y)) {}
};

/// kStatistics: normalizers and means for the backward in place of `out`.
template <int kDim, bool kStatistics>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(const __grid_constant__ AttentionJob job, const SequenceChunk* chunks,
                   const int* order) {
  allow_next();
  begin();
  auto* queries = reinterpret_cast<Bf16*>(dynamic_shared());
  Bf16* keys = queries + kOwn * kStride<kDim>;
  Bf16* values = keys + kKeyTile * kStride<kDim>;
  const Place place(chunks, order);
  const SequenceChunk& chunk = place.chunk;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const Lane lane;
  const long long stride = static_cast<long long>(job.heads) * job.head_dim;
  const long long kv_stride = static_cast<long long>(job.kv_heads) * job.head_dim;
  const int kv_head = place.head / (job.heads / job.kv_heads);
  const long long own_at = chunk.begin * stride + place.head * job.head_dim;
  const long long kv_at = place.first * kv_stride + kv_head * job.head_dim;

  fetch<kDim, kOwn>(job.q + own_at, stride, chunk.count, job.head_dim, queries);
  Softmax softmax;
  float sums[kDim / 8][4] = {};
  const int end = chunk.position + chunk.count;
  for (int key = 0; key < end; key += kKeyTile) {
    __syncthreads();
    fetch<kDim, kKeyTile>(job.k + kv_at + key * kv_stride, kv_stride, end - key, job.head_dim,
                          keys);
    if constexpr (!kStatistics)
      fetch<kDim, kKeyTile>(job.v + kv_at + key * kv_stride, kv_stride, end - key, job.head_dim,
                            values);
    __syncthreads();
    float scores[kKeyTile / 8][4];
    multiply_rows<kDim>(queries + warp * 16 * kStride<kDim>, keys, scores);
    float factors[2];
    softmax.weigh(scores, job.scale, key, chunk.position + warp * 16 + lane.g, factors);
    if constexpr (!kStatistics) {
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[n][i] *= factors[i / 2];
      add_weighted<kDim>(scores, values, sums);
    }
  }
#pragma unroll
  for (float& sum : softmax.sum) sum = row_sum(sum);
  if constexpr (!kStatistics) {
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[n][i] /= softmax.sum[i / 2];
    write_rows<kDim>(sums, job.out + own_at, stride, chunk.count, job.head_dim);
  } else {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = warp * 16 + lane.g + r * 8;
      if (lane.t == 0 && row < chunk.count)
        job.normalizers[static_cast<long long>(chunk.begin + row) * job.heads + place.head] =
            softmax.largest[r] + logf(softmax.sum[r]);
    }
    for (int row = warp * 16; row < min(warp * 16 + 16, chunk.count); ++row) {
      const long long at = own_at + row * stride;
      float sum = 0.0f;
      for (int i = static_cast<int>(threadIdx.x) % 32; i < job.head_dim; i += 32)
        sum = fmaf(job.out[at + i], job.out_gradient[at + i], sum);
      sum = warp_sum(sum);
      if (threadIdx.x % 32 == 0)
        job.means[static_cast<long long>(chunk.begin + row) * job.heads + place.head] = sum;
    }
  }
}

/// A weight again from its score, and the gradient of the score from that of the weight.
__device__ inline void weigh_pair(float score, float normalizer, float mean, bool seen, float scale,
                                  float& weight, float& gradient) {
  weight = seen ? expf(score * scale - normalizer) : 0.0f;
  gradient = weight * (gradient - mean) * scale;
}

/// kKeys: a block's own rows are keys, the others the queries of all heads that share them:
/// gradients of k and v. Else its own rows are queries and the others keys: the gradient of q.
template <int kDim, bool kKeys>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const __grid_constant__ AttentionJob job, const SequenceEntry* sequences,
                    const SequenceChunk* chunks, const int* order) {
  constexpr int kTiles = kOtherTile / 8;
  allow_next();
  begin();
  auto* own_first = reinterpret_cast<Bf16*>(dynamic_shared());  // k or q
  Bf16* own_second = own_first + kOwn * kStride<kDim>;          // v or out's gradient
  Bf16* other_first = own_second + kOwn * kStride<kDim>;
  Bf16* other_second = other_first + kOtherTile * kStride<kDim>;
  // Of queries, own or others.
  auto* normalizers = reinterpret_cast<float*>(other_second + kOtherTile * kStride<kDim>);
  float* means = normalizers + kOwn;
  const Place place(chunks, order);
  const SequenceChunk& chunk = place.chunk;
  const int length = sequences[chunk.sequence].count;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int thread = static_cast<int>(threadIdx.x);
  const Lane lane;
  const int dim = job.head_dim;
  const int group = job.heads / job.kv_heads;
  const long long stride = static_cast<long long>(job.heads) * dim;
  const long long kv_stride = static_cast<long long>(job.kv_heads) * dim;
  const int kv_head = kKeys ? place.head : place.head / group;
  const long long own_stride = kKeys ? kv_stride : stride;
  const long long own_at = chunk.begin * own_stride + place.head * dim;
  const long long other_stride = kKeys ? stride : kv_stride;

  fetch<kDim, kOwn>((kKeys ? job.k : job.q) + own_at, own_stride, chunk.count, dim, own_first);
  fetch<kDim, kOwn>((kKeys ? job.v : job.out_gradient) + own_at, own_stride, chunk.count, dim,
                    own_second);
  if (!kKeys && thread < kOwn) {
    const bool real = thread < chunk.count;
    const long long at = static_cast<long long>(chunk.begin + thread) * job.heads + place.head;
    normalizers[thread] = real ? job.normalizers[at] : 0.0f;
    means[thread] = real ? job.means[at] : 0.0f;
  }
  float first_sums[kDim / 8][4] = {};               // of k or q
  float second_sums[kKeys ? kDim / 8 : 1][4] = {};  // of v
  const int begin_at = kKeys ? chunk.position : 0;
  const int end = kKeys ? length : chunk.position + chunk.count;
  const int first_head = kKeys ? kv_head * group : kv_head;
  for (int head = first_head; head < first_head + (kKeys ? group : 1); ++head)
    for (int other = begin_at; other < end; other += kOtherTile) {
      const long long at = (place.first + other) * other_stride + head * dim;
      __syncthreads();
      fetch<kDim, kOtherTile>((kKeys ? job.q : job.k) + at, other_stride, end - other, dim,
                              other_first);
      fetch<kDim, kOtherTile>((kKeys ? job.out_gradient : job.v) + at, other_stride, end - other,
                              dim, other_second);
      if (kKeys && thread < kOtherTile) {
        const bool real = other + thread < end;
        const long long number = (place.first + other + thread) * job.heads + head;
        normalizers[thread] = real ? job.normalizers[number] : 0.0f;
        means[thread] = real ? job.means[number] : 0.0f;
      }
      __syncthreads();
      float weights[kTiles][4];
      float gradients[kTiles][4];
      multiply_rows<kDim>(own_first + warp * 16 * kStride<kDim>, other_first, weights);
      multiply_rows<kDim>(own_second + warp * 16 * kStride<kDim>, other_second, gradients);
#pragma unroll
      for (int j = 0; j < kTiles; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int own_row = warp * 16 + lane.g + i / 2 * 8;
          const int other_row = j * 8 + lane.t * 2 + i % 2;
          const int own_position = chunk.position + own_row;
          const int other_position = other + other_row;
          const int query = kKeys ? other_row : own_row;
          const bool seen = kKeys ? own_position <= other_position && other_position < end
                                  : other_position <= own_position && other_position < end;
          weigh_pair(weights[j][i], normalizers[query], means[query], seen, job.scale,
                     weights[j][i], gradients[j][i]);
        }
      if constexpr (kKeys) add_weighted<kDim>(weights, other_second, second_sums);
      add_weighted<kDim>(gradients, other_first, first_sums);
    }
  write_rows<kDim>(first_sums, (kKeys ? job.k_gradient : job.q_gradient) + own_at, own_stride,
                   chunk.count, dim);
  if constexpr (kKeys)
    write_rows<kDim>(second_sums, job.v_gradient + own_at, own_stride, chunk.count, dim);
}

template <typename... Parameters>
void allow_shared(void (*kernel)(Parameters...), std::size_t bytes) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(bytes));
}

template <int kDim>
struct Kernels {
  static constexpr std::size_t kRow = kStride<kDim> * sizeof(Bf16);
  static constexpr std::size_t kForward = (kOwn + 2 * kKeyTile) * kRow;
  static constexpr std::size_t kBackward =
      (2 * kOwn + 2 * kOtherTile) * kRow + 2 * kOwn * sizeof(float);

  static void prepare() {
    static const bool done = [] {
      allow_shared(forward_kernel<kDim, false>, kForward);
      allow_shared(forward_kernel<kDim, true>, kForward);
      allow_shared(backward_kernel<kDim, false>, kBackward);
      allow_shared(backward_kernel<kDim, true>, kBackward);
      return true;
    }();
    static_cast<void>(done);
  }
  static void forward(const AttentionJob& job, const SequenceTable& table, cudaStream_t stream) {
    prepare();
    launch(forward_kernel<kDim, false>, grid(table, job.heads), kThreads, kForward, stream, job,
           table.chunks, table.longest_first);
  }
  static void backward(const AttentionJob& job, const SequenceTable& table, cudaStream_t stream) {
    prepare();
    launch(forward_kernel<kDim, true>, grid(table, job.heads), kThreads, kForward, stream, job,
           table.chunks, table.longest_first);
    launch(backward_kernel<kDim, true>, grid(table, job.kv_heads), kThreads, kBackward, stream, job,
           table.sequences, table.chunks, table.longest_first);
    launch(backward_kernel<kDim, false>, grid(table, job.heads), kThreads, kBackward, stream, job,
           table.sequences, table.chunks, table.longest_first);
  }
  static dim3 grid(const SequenceTable& table, int heads) {
    return dim3(static_cast<unsigned>(table.chunk_count), static_cast<unsigned>(heads));
  }
};

}  // namespace

void attention_forward(const AttentionJob& job, const SequenceTable& sequences,
                       cudaStream_t stream) {
  if (job.head_dim <= 32) return Kernels<32>::forward(job, sequences, stream);
  if (job.head_dim <= 64) return Kernels<64>::forward(job, sequences, stream);
  Kernels<128>::forward(job, sequences, stream);
}

void attention_backward(const AttentionJob& job, const SequenceTable& sequences,
                        cudaStream_t stream) {
  if (job.head_dim <= 32) return Kernels<32>::backward(job, sequences, stream);
  if (job.head_dim <= 64) return Kernels<64>::backward(job, sequences, stream);
  Kernels<128>::backward(job, sequences, stream);
}

}  // namespace bobby::cuda
