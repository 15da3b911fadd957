#include "backends/cuda/launch.cuh"
#include "backends/cuda/top_logits.h"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kEach = kTopChunk / 32;  // columns of a chunk for one lane

__device__ double warp_sum_double(double value) {
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

// exp(from - to), to >= from; 1 where both are -infinity, as of a slice without columns.
__device__ float weight(float from, float to) {
  return from == to ? 1.0f : expf(from - to);
}

// The columns of a chunk that this lane looks at; -infinity past the row's end.
__device__ void load_chunk(const float* row, int cols, int chunk, float (&logits)[kEach]) {
  const int first = chunk * kTopChunk + static_cast<int>(threadIdx.x % 32);
#pragma unroll
  for (int i = 0; i < kEach; ++i)
    logits[i] = first + 32 * i < cols ? row[first + 32 * i] : -INFINITY;
}

// This block's slice: each chunk's largest into `largest_of`, and all of it into `out`. The order
// of sums is that of the columns and lanes, and the same for every row.
__device__ void look_at_slice(const float* row, int cols, int chunks, float* largest_of,
                              TopSlice& out) {
  __shared__ float shared_largest[kWarps];
  __shared__ float shared_sum[kWarps];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int each = (chunks + kTopSlices - 1) / kTopSlices;
  const int begin = static_cast<int>(blockIdx.x) * each;
  const int end = min(begin + each, chunks);
  float largest = -INFINITY;  // the same in every lane
  float sum = 0.0f;           // of this lane's exp(logit - largest)
  int bad = 0;
#pragma unroll 3
  for (int chunk = begin + warp; chunk < end; chunk += kWarps) {
    float logits[kEach];
    load_chunk(row, cols, chunk, logits);
    float most = logits[0];
#pragma unroll
    for (int i = 1; i < kEach; ++i) most = fmaxf(most, logits[i]);
    most = warp_max(most);
    if (lane == 0) largest_of[chunk] = most;
    if (most > largest) {
      sum *= weight(largest, most);
      largest = most;
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const bool there = chunk * kTopChunk + lane + 32 * i < cols;
      bad |= there && !isfinite(logits[i]);
      if (there) sum += expf(logits[i] - largest);
    }
  }
  bad = __syncthreads_or(bad);
  sum = warp_sum(sum);
  if (lane == 0) {
    shared_largest[warp] = largest;
    shared_sum[warp] = sum;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  float of_all = shared_largest[0];
  for (int i = 1; i < kWarps; ++i) of_all = fmaxf(of_all, shared_largest[i]);
  float total = 0.0f;
  for (int i = 0; i < kWarps; ++i) total += shared_sum[i] * weight(shared_largest[i], of_all);
  out = {of_all, total, bad};
}

// What all slices say of the row; the same in every thread.
struct Whole {
  float largest;
  double sum_exp;
  int bad;
};

__device__ Whole add_slices(const TopSlice* slices) {
  const auto lane = threadIdx.x % 32;
  Whole whole = {-INFINITY, 0.0, 0};
  float largest[kTopSlices / 32];
  float sum[kTopSlices / 32];
#pragma unroll
  for (int i = 0; i < kTopSlices / 32; ++i) {  // past the first cache: other blocks wrote them
    const TopSlice& slice = slices[32 * i + lane];
    largest[i] = __ldcg(&slice.largest);
    sum[i] = __ldcg(&slice.sum_exp);
    whole.bad |= __ldcg(&slice.bad);
    whole.largest = fmaxf(whole.largest, largest[i]);
  }
  whole.largest = warp_max(whole.largest);
  whole.bad = __any_sync(0xffffffffu, whole.bad);
#pragma unroll
  for (int i = 0; i < kTopSlices / 32; ++i)
    whole.sum_exp += double{sum[i]} * double{weight(largest[i], whole.largest)};
  whole.sum_exp = warp_sum_double(whole.sum_exp);
  return whole;
}

// The tokens within kTopDepth of the largest, by way of the chunks that have any: where those are
// too many, so are the tokens. Gathered here first, since each write to the host is a parcel.
__device__ int list_tokens(const float* row, int cols, int chunks, const float* largest_of,
                           float floor, TopRow& out) {
  __shared__ int chunk_count, token_count;
  __shared__ int listed[kTopTokens];
  __shared__ int tokens[kTopTokens];
  __shared__ float values[kTopTokens];
  if (threadIdx.x == 0) chunk_count = token_count = 0;
  __syncthreads();
  for (int chunk = static_cast<int>(threadIdx.x); chunk < chunks; chunk += kThreads) {
    if (!(__ldcg(&largest_of[chunk]) >= floor)) continue;
    const int place = atomicAdd(&chunk_count, 1);
    if (place < kTopTokens) listed[place] = chunk;
  }
  __syncthreads();
  const int found = chunk_count;
  if (found > kTopTokens) return found;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x) / 32; i < found; i += kWarps) {
    float logits[kEach];
    load_chunk(row, cols, listed[i], logits);
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      if (!(logits[j] >= floor)) continue;
      const int place = atomicAdd(&token_count, 1);
      if (place >= kTopTokens) continue;
      tokens[place] = listed[i] * kTopChunk + static_cast<int>(threadIdx.x % 32) + 32 * j;
      values[place] = logits[j];
    }
  }
  __syncthreads();
  const int count = token_count;
  if (count > kTopTokens) return count;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    out.tokens[i] = tokens[i];
    out.logits[i] = values[i];
  }
  return count;
}

// A block for each slice of a row; the one that comes last puts them together.
__global__ void top_logits_kernel(const float* logits, int cols, int chunks, TopScratch scratch,
                                  TopRow* rows, unsigned number) {
  allow_next();
  begin();
  const long long at = blockIdx.y;
  const float* row = logits + at * cols;
  TopSlice* slices = scratch.slices + at * kTopSlices;
  float* largest_of = scratch.chunks + at * chunks;
  look_at_slice(row, cols, chunks, largest_of, slices[blockIdx.x]);
  __threadfence();  // what each thread wrote, before the block is counted
  __syncthreads();
  bool last = false;
  if (threadIdx.x == 0) last = atomicAdd(&scratch.arrived[at], 1u) == kTopSlices - 1;
  if (!__syncthreads_or(last)) return;
  __threadfence();
  if (threadIdx.x == 0) scratch.arrived[at] = 0;

  TopRow& out = rows[at];
  const Whole whole = add_slices(slices);
  const int count =
      whole.bad ? 0 : list_tokens(row, cols, chunks, largest_of, whole.largest - kTopDepth, out);
  if (threadIdx.x == 0) {
    out.bad = whole.bad;
    out.largest = whole.largest;
    out.count = count;
    out.sum_exp = whole.sum_exp;
  }
  __threadfence_system();  // before the number that the host waits for
  __syncthreads();
  if (threadIdx.x == 0) *reinterpret_cast<volatile unsigned*>(&out.done) = number;
}

}  // namespace

void top_logits(const float* logits, int rows, int cols, const TopScratch& scratch, TopRow* out,
                unsigned number, cudaStream_t stream) {
  const dim3 grid(kTopSlices, static_cast<unsigned>(rows));
  launch(top_logits_kernel, grid, kThreads, 0, stream, logits, cols, top_chunks(cols), scratch, out,
         number);
}

void load_top_logits() {
  load_kernel(top_logits_kernel);
}

}  // namespace bobby::cuda
