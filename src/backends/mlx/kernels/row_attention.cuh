// rope_and_store() and attention() of rows that are a sequence's last token each.
//
// Cell: the cache's number, float or __half. kHeadDim: a multiple of 32.
#pragma once

/// Where the rows stand. table: int32 [rows, width], of a row its position some time ago and its
/// sequence's blocks in the cache. `gained`: what all positions have gained since.
struct RowPlaces {
  const int* table;
  int width;
  int gained;
};

/// A layer of the cache: [tokens of all blocks, heads, 1, kHeadDim] each.
template <typename Cell>
struct LayerCache {
  const Cell* keys;
  const Cell* values;
  int heads;
};

/// q, k and v of several rows: columns of one array, q, where `k_width` is another than theirs.
struct RowHeads {
  const float* q;
  int q_width;
  const float* k;
  int k_width;
  const float* v;
};

/// An RMS norm of each head where `width` is kHeadDim.
struct HeadNorm {
  const float* weight;
  int width;
};

__device__ inline float to_float(float cell) {
  return cell;
}
__device__ inline float to_float(__half cell) {
  return __half2float(cell);
}
__device__ inline void put(float* cell, float value) {
  *cell = value;
}
__device__ inline void put(__half* cell, float value) {
  *cell = __float2half_rn(value > 65504.0f ? 65504.0f : value < -65504.0f ? -65504.0f : value);
}

/// A lane's numbers of a head, read at once where that is possible.
template <typename T, int kEach>
struct alignas(kEach == 3 || kEach > 4 ? sizeof(T) : sizeof(T) * kEach) Numbers {
  T of[kEach];
};

/// Where the cache has a token's numbers. place: the row's of the table.
template <int kHeadDim, int kBlockTokens>
__device__ inline size_t slot_of(const int* place, int token, int heads, int head) {
  const size_t slot =
      static_cast<size_t>(place[1 + token / kBlockTokens]) * kBlockTokens + token % kBlockTokens;
  return (slot * heads + head) * kHeadDim;
}

/// Blocks are [head: q's, then k's, then v's; row], of a warp each. Normalises where there is a
/// norm, rotates, and puts keys and values into the cache, which is written to in place.
template <typename Cell, int kHeadDim, int kBlockTokens>
__device__ inline void rope_store(const RowHeads& from, const HeadNorm& q_norm,
                                  const HeadNorm& k_norm, float eps, const float* inv_freq,
                                  const RowPlaces& places, const LayerCache<Cell>& cache,
                                  float* rotated_q, float* rotated_k) {
  constexpr int kEach = kHeadDim / 32;
  __shared__ float head[kHeadDim];
  const int lane = threadIdx.x, row = blockIdx.y, index = blockIdx.x;
  const int kv_heads = cache.heads, q_heads = gridDim.x - 2 * kv_heads;
  const bool is_q = index < q_heads, is_v = index >= q_heads + kv_heads;
  const int own = is_q ? index : is_v ? index - q_heads - kv_heads : index - q_heads;
  const bool together = from.k_width != kv_heads * kHeadDim;
  const float* x =
      together || is_q
          ? from.q + static_cast<size_t>(row) * from.q_width + index * kHeadDim
          : (is_v ? from.v : from.k) + (static_cast<size_t>(row) * kv_heads + own) * kHeadDim;
  const int* place = places.table + static_cast<size_t>(row) * places.width;
  const int position = place[0] + places.gained;
  const size_t slot = slot_of<kHeadDim, kBlockTokens>(place, position, kv_heads, own);
  Cell* keys = const_cast<Cell*>(cache.keys) + slot;
  Cell* values = const_cast<Cell*>(cache.values) + slot;
  float numbers[kEach];
  float squares = 0.0f;
  for (int e = 0; e < kEach; ++e) {
    numbers[e] = x[lane + 32 * e];
    squares = fmaf(numbers[e], numbers[e], squares);
  }
  if (is_v) {
    for (int e = 0; e < kEach; ++e) put(values + lane + 32 * e, numbers[e]);
    return;
  }
  const HeadNorm& norm = is_q ? q_norm : k_norm;
  if (norm.width == kHeadDim) {
    for (int step = 16; step > 0; step /= 2) squares += __shfl_xor_sync(0xffffffffu, squares, step);
    const float factor = 1.0f / sqrtf(squares / kHeadDim + eps);
    for (int e = 0; e < kEach; ++e) numbers[e] *= factor * norm.weight[lane + 32 * e];
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
    put(keys + i, first);
    put(keys + i + kHeadDim / 2, second);
  }
}

/// Blocks are [head of q, row], of 8 warps: each takes every eighth token, four at a time, and
/// keeps its own largest score, sum and average. q and y: [rows, heads * kHeadDim].
template <typename Cell, int kHeadDim, int kBlockTokens>
__device__ inline void row_attention(const float* q, const LayerCache<Cell>& cache,
                                     const RowPlaces& places, float scale, float* y) {
  constexpr int kEach = kHeadDim / 32, kWarps = 8, kAhead = 4;
  __shared__ float averages[kWarps][kHeadDim];
  __shared__ float largest_of[kWarps], sum_of[kWarps];
  const float infinity = __int_as_float(0x7f800000);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int heads = cache.heads, head = blockIdx.x / (gridDim.x / heads);
  const int* place = places.table + static_cast<size_t>(blockIdx.y) * places.width;
  const int length = place[0] + places.gained + 1;
  const size_t out = (static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x) * kHeadDim;
  const auto query = *reinterpret_cast<const Numbers<float, kEach>*>(q + out + lane * kEach);
  float largest = -infinity, sum = 0.0f, average[kEach] = {};
  for (int token = warp; token < length; token += kWarps * kAhead) {
    Numbers<Cell, kEach> k[kAhead], v[kAhead];
    float score[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int own = min(token + i * kWarps, length - 1);
      const size_t slot = slot_of<kHeadDim, kBlockTokens>(place, own, heads, head) + lane * kEach;
      k[i] = *reinterpret_cast<const Numbers<Cell, kEach>*>(cache.keys + slot);
      v[i] = *reinterpret_cast<const Numbers<Cell, kEach>*>(cache.values + slot);
    }
    float most = largest;
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      score[i] = 0.0f;
#pragma unroll
      for (int e = 0; e < kEach; ++e) score[i] = fmaf(query.of[e], to_float(k[i].of[e]), score[i]);
#pragma unroll
      for (int step = 16; step > 0; step /= 2)
        score[i] += __shfl_xor_sync(0xffffffffu, score[i], step);
      score[i] = token + i * kWarps < length ? score[i] * scale : -infinity;
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
    for (int w = 0; w < kWarps; ++w)
      mixed = fmaf(expf(largest_of[w] - most), averages[w][i], mixed);
    y[out + i] = mixed / all;
  }
}
