#pragma once

namespace bobby::mlx_backend {

/// CUDA C++ of the attention of rows that are a sequence's last token each. What goes before it:
/// `Cell` (the cache's number, float or __half), kHeadDim (a multiple of 32), kBlockTokens and
/// kScale.
///
/// `table`: int32 [rows, 1 + blocks], a row's position and its sequence's blocks in the cache. What
/// the positions have gained since is how long `offset` is, less one: a kernel's arguments are the
/// quickest way to the device.
/// `keys` and `values`: the cache of one layer, [tokens of all blocks, heads, 1, kHeadDim].
inline constexpr const char* kRowAttentionHeader = R"cuda(
constexpr int kEach = kHeadDim / 32;  // numbers of a head in a lane

#define kInfinity __int_as_float(0x7f800000)

__device__ inline float to_float(float cell) { return cell; }
__device__ inline float to_float(__half cell) { return __half2float(cell); }
__device__ inline void put(float* cell, float value) { *cell = value; }
__device__ inline void put(__half* cell, float value) {
  *cell = __float2half_rn(value > 65504.0f ? 65504.0f : value < -65504.0f ? -65504.0f : value);
}

// A lane's numbers, read at once where that is possible.
template <typename T>
struct alignas(kEach == 3 || kEach > 4 ? sizeof(T) : sizeof(T) * kEach) Numbers {
  T of[kEach];
};

// Where the cache has a token's numbers.
__device__ inline size_t slot_of(const int* row, int token, int heads, int head) {
  const size_t slot = static_cast<size_t>(row[1 + token / kBlockTokens]) * kBlockTokens + token % kBlockTokens;
  return (slot * heads + head) * kHeadDim;
}
)cuda";

/// Blocks are [head: q's, then k's, then v's; row], a warp each. Normalises where there is a norm,
/// rotates, and puts keys and values into the cache, which is written to in place. q, k and v are
/// columns of one array, or k and v arrays of their own.
inline constexpr const char* kRopeStoreBody = R"cuda(
  __shared__ float head[kHeadDim];
  const int lane = threadIdx.x, kv_heads = keys_shape[1], q_heads = gridDim.x - 2 * kv_heads;
  const int row = blockIdx.y, index = blockIdx.x;
  const bool is_q = index < q_heads, is_v = index >= q_heads + kv_heads;
  const int own = is_q ? index : is_v ? index - q_heads - kv_heads : index - q_heads;
  const bool apart = k_shape[1] == kv_heads * kHeadDim;
  const float* from = !apart || is_q ? q + static_cast<size_t>(row) * q_shape[1] + index * kHeadDim
                                     : (is_v ? v : k) + (static_cast<size_t>(row) * kv_heads + own) * kHeadDim;
  const int* place = table + static_cast<size_t>(row) * table_shape[1];
  const int position = place[0] + offset_shape[0] - 1;
  const size_t slot = slot_of(place, position, kv_heads, own);
  float numbers[kEach];
  float squares = 0.0f;
  for (int e = 0; e < kEach; ++e) {
    numbers[e] = from[lane + 32 * e];
    squares = fmaf(numbers[e], numbers[e], squares);
  }
  if (is_v) {
    for (int e = 0; e < kEach; ++e) put(const_cast<Cell*>(values) + slot + lane + 32 * e, numbers[e]);
    return;
  }
  const float* norm = is_q ? q_norm : k_norm;
  if ((is_q ? q_norm_shape[0] : k_norm_shape[0]) == kHeadDim) {
    for (int step = 16; step > 0; step /= 2) squares += __shfl_xor_sync(0xffffffffu, squares, step);
    const float factor = 1.0f / sqrtf(squares / kHeadDim + eps[0]);
    for (int e = 0; e < kEach; ++e) numbers[e] *= factor * norm[lane + 32 * e];
  }
  for (int e = 0; e < kEach; ++e) head[lane + 32 * e] = numbers[e];
  __syncwarp();
  float* to = is_q ? rotated_q + (static_cast<size_t>(row) * q_heads + own) * kHeadDim
                   : rotated_k + (static_cast<size_t>(row) * kv_heads + own) * kHeadDim;
  for (int i = lane; i < kHeadDim / 2; i += 32) {
    float sine, cosine;
    sincosf(position * inv_freq[i], &sine, &cosine);
    const float a = head[i], b = head[i + kHeadDim / 2];
    const float first = a * cosine - b * sine, second = b * cosine + a * sine;
    to[i] = first;
    to[i + kHeadDim / 2] = second;
    if (is_q) continue;
    put(const_cast<Cell*>(keys) + slot + i, first);
    put(const_cast<Cell*>(keys) + slot + i + kHeadDim / 2, second);
  }
)cuda";

/// Blocks are [head of q, row], of 8 warps: each takes every eighth token, four at a time, and
/// keeps its own largest score, sum and average.
inline constexpr const char* kRowAttentionBody = R"cuda(
  constexpr int kWarps = 8, kAhead = 4;
  __shared__ float averages[kWarps][kHeadDim];
  __shared__ float largest_of[kWarps], sum_of[kWarps];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int heads = keys_shape[1], head = blockIdx.x / (gridDim.x / heads);
  const int* place = table + static_cast<size_t>(blockIdx.y) * table_shape[1];
  const int length = place[0] + offset_shape[0];
  const size_t out = (static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x) * kHeadDim;
  const Numbers<float> query = *reinterpret_cast<const Numbers<float>*>(q + out + lane * kEach);
  float largest = -kInfinity, sum = 0.0f, average[kEach] = {};
  for (int token = warp; token < length; token += kWarps * kAhead) {
    Numbers<Cell> k[kAhead], v[kAhead];
    float score[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const size_t slot = slot_of(place, min(token + i * kWarps, length - 1), heads, head) + lane * kEach;
      k[i] = *reinterpret_cast<const Numbers<Cell>*>(keys + slot);
      v[i] = *reinterpret_cast<const Numbers<Cell>*>(values + slot);
    }
    float most = largest;
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      score[i] = 0.0f;
#pragma unroll
      for (int e = 0; e < kEach; ++e) score[i] = fmaf(query.of[e], to_float(k[i].of[e]), score[i]);
#pragma unroll
      for (int step = 16; step > 0; step /= 2) score[i] += __shfl_xor_sync(0xffffffffu, score[i], step);
      score[i] = token + i * kWarps < length ? score[i] * kScale : -kInfinity;
      most = fmaxf(most, score[i]);
    }
    const float fade = expf(largest - most);
    largest = most;
    sum *= fade;
#pragma unroll
    for (int e = 0; e < kEach; ++e) average[e] *= fade;
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const float weight = expf(score[i] - largest);
      sum += weight;
#pragma unroll
      for (int e = 0; e < kEach; ++e) average[e] = fmaf(weight, to_float(v[i].of[e]), average[e]);
    }
  }
#pragma unroll
  for (int e = 0; e < kEach; ++e) averages[warp][lane * kEach + e] = average[e];
  if (lane == 0) {
    largest_of[warp] = largest;
    sum_of[warp] = sum;
  }
  __syncthreads();
  float most = largest_of[0], all = 0.0f;
  for (int w = 1; w < kWarps; ++w) most = fmaxf(most, largest_of[w]);
  for (int w = 0; w < kWarps; ++w) all += expf(largest_of[w] - most) * sum_of[w];
  for (int i = threadIdx.x; i < kHeadDim; i += 32 * kWarps) {
    float mixed = 0.0f;
    for (int w = 0; w < kWarps; ++w) mixed = fmaf(expf(largest_of[w] - most), averages[w][i], mixed);
    y[out + i] = mixed / all;
  }
)cuda";

}  // namespace bobby::mlx_backend
