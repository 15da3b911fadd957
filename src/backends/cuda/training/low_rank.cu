#include <algorithm>
#include <cmath>

#include "backends/cuda/launch.cuh"
#include "backends/cuda/training/instructions.cuh"
#include "backends/cuda/training/low_rank.h"

namespace bobby::cuda {
namespace {

constexpr int kRanks = 8;  // of a pair at a time

/// kWidth numbers from `from` on, of which `count` exist.
template <int kWidth>
__device__ inline void load_numbers(const float* from, bool exist, float (&to)[kWidth]) {
  if constexpr (kWidth == 4) {
    const float4 four =
        exist ? *reinterpret_cast<const float4*>(from) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    to[0] = four.x;
    to[1] = four.y;
    to[2] = four.z;
    to[3] = four.w;
  } else {
    to[0] = exist ? *from : 0.0f;
  }
}

/// Which job and which ranks of it a block takes: jobs' groups of ranks follow each other.
template <typename Job>
struct Jobs {
  Job each[kMostPairs];
  int count = 0;

  __device__ const Job& find(int group, int& first_rank) const {
    int index = 0;
    for (int groups = (each[0].rank + kRanks - 1) / kRanks; group >= groups;
         groups = (each[index].rank + kRanks - 1) / kRanks) {
      group -= groups;
      ++index;
    }
    first_rank = group * kRanks;
    return each[index];
  }
};

template <typename Job>
Jobs<Job> jobs_of(std::span<const Job> jobs) {
  Jobs<Job> to = {};
  std::copy(jobs.begin(), jobs.end(), to.each);
  to.count = static_cast<int>(jobs.size());
  return to;
}

template <typename Job>
unsigned groups_of(std::span<const Job> jobs) {
  int groups = 0;
  for (const Job& job : jobs) groups += (job.rank + kRanks - 1) / kRanks;
  return static_cast<unsigned>(groups);
}

template <typename Job>
bool in_fours(std::span<const Job> jobs) {
  return std::ranges::all_of(jobs, [](const Job& job) { return job.cols % 4 == 0; });
}

// Narrow products: eight rows a block, whose warps share the columns out.

constexpr int kNarrowRows = 8;
constexpr int kNarrowWarps = 8;
constexpr int kNarrowSums = kNarrowRows * kRanks;

/// Sums of all lanes: sums 2 * lane and 2 * lane + 1 end in values[0] and values[1].
template <int kOffset = 16, int kHalf = kNarrowSums / 2>
__device__ inline void sum_lanes(float (&values)[kNarrowSums]) {
  const bool upper = (threadIdx.x & static_cast<unsigned>(kOffset)) != 0;
#pragma unroll
  for (int i = 0; i < kHalf; ++i) {
    const float other = upper ? values[i] : values[i + kHalf];
    const float own = upper ? values[i + kHalf] : values[i];
    values[i] = own + __shfl_xor_sync(0xffffffffu, other, kOffset);
  }
  if constexpr (kOffset > 1) sum_lanes<kOffset / 2, kHalf / 2>(values);
}

template <int kWidth>
__global__ void __launch_bounds__(kNarrowWarps * 32)
    narrow_kernel(const __grid_constant__ Jobs<NarrowJob> jobs, int rows) {
  __shared__ float sums[kNarrowWarps][kNarrowSums];
  allow_next();
  begin();
  int first_rank = 0;
  const NarrowJob& job = jobs.find(static_cast<int>(blockIdx.y), first_rank);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first_row = static_cast<int>(blockIdx.x) * kNarrowRows;
  float values[kNarrowSums] = {};
  for (int col = (warp * 32 + lane) * kWidth; col < job.cols; col += kNarrowWarps * 32 * kWidth) {
    float x[kNarrowRows][kWidth];
#pragma unroll
    for (int i = 0; i < kNarrowRows; ++i) {
      const long long row = min(first_row + i, rows - 1);
      load_numbers<kWidth>(job.x + row * job.cols + col, true, x[i]);
    }
#pragma unroll
    for (int j = 0; j < kRanks; ++j) {
      float b[kWidth];
      load_numbers<kWidth>(job.b + static_cast<long long>(first_rank + j) * job.cols + col,
                           first_rank + j < job.rank, b);
#pragma unroll
      for (int i = 0; i < kNarrowRows; ++i)
#pragma unroll
        for (int k = 0; k < kWidth; ++k)
          values[i * kRanks + j] = fmaf(x[i][k], b[k], values[i * kRanks + j]);
    }
  }
  sum_lanes(values);
  sums[warp][lane * 2] = values[0];
  sums[warp][lane * 2 + 1] = values[1];
  __syncthreads();
  if (threadIdx.x >= kNarrowSums) return;
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kNarrowWarps; ++i) sum += sums[i][threadIdx.x];
  const int row = first_row + static_cast<int>(threadIdx.x) / kRanks;
  const int rank = first_rank + static_cast<int>(threadIdx.x) % kRanks;
  if (row < rows && rank < job.rank)
    job.out[static_cast<long long>(row) * job.rank + rank] = job.scale * sum;
}

// Gradients of pairs.

constexpr int kGradientThreads = 128;

template <int kWidth>
__global__ void __launch_bounds__(kGradientThreads)
    gradient_kernel(const __grid_constant__ Jobs<GradientJob> jobs, const SequenceChunk* chunks) {
  __shared__ float low[kChunkRows][kRanks];
  allow_next();
  begin();
  int first_rank = 0;
  const GradientJob& job = jobs.find(static_cast<int>(blockIdx.z), first_rank);
  const SequenceChunk chunk = chunks[blockIdx.y];
  for (int i = static_cast<int>(threadIdx.x); i < chunk.count * kRanks; i += kGradientThreads) {
    const int rank = first_rank + i % kRanks;
    const long long row = chunk.begin + i / kRanks;
    low[i / kRanks][i % kRanks] = rank < job.rank ? job.low[row * job.rank + rank] : 0.0f;
  }
  __syncthreads();
  const int col = static_cast<int>(blockIdx.x * kGradientThreads + threadIdx.x) * kWidth;
  if (col >= job.cols) return;
  float sums[kRanks][kWidth] = {};
  const float* x = job.x + static_cast<long long>(chunk.begin) * job.cols + col;
#pragma unroll 4
  for (int row = 0; row < chunk.count; ++row, x += job.cols) {
    float numbers[kWidth];
    load_numbers<kWidth>(x, true, numbers);
#pragma unroll
    for (int j = 0; j < kRanks; ++j)
#pragma unroll
      for (int k = 0; k < kWidth; ++k) sums[j][k] = fmaf(low[row][j], numbers[k], sums[j][k]);
  }
  const long long part = static_cast<long long>(blockIdx.y) * job.rank + first_rank;
#pragma unroll
  for (int j = 0; j < kRanks; ++j) {
    if (first_rank + j >= job.rank) break;
    float* to = job.parts + (part + j) * job.cols + col;
    if constexpr (kWidth == 4)
      *reinterpret_cast<float4*>(to) = make_float4(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
    else
      *to = sums[j][0];
  }
}

/// Adds each sequence's chunks up, then the sequences.
__global__ void __launch_bounds__(256)
    add_parts_kernel(const __grid_constant__ Jobs<GradientJob> jobs, const SequenceEntry* sequences,
                     int sequence_count) {
  allow_next();
  begin();
  const GradientJob& job = jobs.each[blockIdx.y];
  const long long numbers = static_cast<long long>(job.rank) * job.cols;
  const long long index = static_cast<long long>(blockIdx.x) * 256 + threadIdx.x;
  if (index >= numbers) return;
  float sum = job.sum[index];
  for (int s = 0; s < sequence_count; ++s) {
    const SequenceEntry entry = sequences[s];
    float part = 0.0f;
    for (int i = 0; i < entry.chunks; ++i)
      part += job.parts[(entry.first_chunk + i) * numbers + index];
    sum += part;
  }
  job.sum[index] = sum;
}

__global__ void __launch_bounds__(128)
    multiplier_kernel(float* gradient, const float* unscaled, const float* multiplier, float* parts,
                      int cols, const SequenceChunk* chunks) {
  allow_next();
  begin();
  const int col = static_cast<int>(blockIdx.x * 128 + threadIdx.x);
  if (col >= cols) return;
  const SequenceChunk chunk = chunks[blockIdx.y];
  const float factor = multiplier[col];
  float sum = 0.0f;
  for (int row = 0; row < chunk.count; ++row) {
    const long long at = static_cast<long long>(chunk.begin + row) * cols + col;
    const float value = gradient[at];
    sum = fmaf(value, unscaled[at], sum);
    gradient[at] = value * factor;
  }
  parts[static_cast<long long>(blockIdx.y) * cols + col] = sum;
}

// Dropout.

struct Words {
  std::uint32_t each[4];
};

/// base/random.h's philox4x32.
__device__ inline Words philox(Words counter, std::uint64_t key) {
  auto key0 = static_cast<std::uint32_t>(key);
  auto key1 = static_cast<std::uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter.each[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter.each[2];
    counter = {{static_cast<std::uint32_t>(product1 >> 32) ^ counter.each[1] ^ key0,
                static_cast<std::uint32_t>(product1),
                static_cast<std::uint32_t>(product0 >> 32) ^ counter.each[3] ^ key1,
                static_cast<std::uint32_t>(product0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// The words of four columns of a row at `position` of a sequence.
__device__ inline Words drawn_words(const DropoutDraw& draw, int position, int four,
                                    std::int64_t record) {
  const auto number = static_cast<std::uint64_t>(record);
  return philox({{static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(four),
                  static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32)}},
                draw.key);
}

constexpr int kDropThreads = 128;

__global__ void __launch_bounds__(kDropThreads)
    drop_kernel(const float* x, DropoutDraw draw, float* out, int cols,
                const SequenceEntry* sequences, const SequenceChunk* chunks) {
  allow_next();
  begin();
  const int four = static_cast<int>(blockIdx.x * kDropThreads + threadIdx.x);
  const SequenceChunk chunk = chunks[blockIdx.y];
  const std::int64_t record = sequences[chunk.sequence].record;
  if (four * 4 >= cols) return;
  for (int row = 0; row < chunk.count; ++row) {
    const Words words = drawn_words(draw, chunk.position + row, four, record);
    const long long at = static_cast<long long>(chunk.begin + row) * cols + four * 4;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (four * 4 + i < cols)
        out[at + i] = words.each[i] >= draw.threshold ? x[at + i] * draw.factor : 0.0f;
  }
}

__global__ void __launch_bounds__(kDropThreads)
    add_dropped_kernel(const float* low, const float* a, int rank, DropoutDraw draw, float* out,
                       int cols, const SequenceEntry* sequences, const SequenceChunk* chunks) {
  allow_next();
  begin();
  const int four = static_cast<int>(blockIdx.x * kDropThreads + threadIdx.x);
  const SequenceChunk chunk = chunks[blockIdx.y];
  const std::int64_t record = sequences[chunk.sequence].record;
  if (four * 4 >= cols) return;
  for (int row = 0; row < chunk.count; ++row) {
    const Words words = drawn_words(draw, chunk.position + row, four, record);
    const long long number = chunk.begin + row;
    float sums[4] = {};
    for (int j = 0; j < rank; ++j) {
      const float factor = low[number * rank + j];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (four * 4 + i < cols)
          sums[i] = fmaf(factor, a[static_cast<long long>(j) * cols + four * 4 + i], sums[i]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (four * 4 + i < cols && words.each[i] >= draw.threshold)
        out[number * cols + four * 4 + i] += sums[i] * draw.factor;
  }
}

__global__ void __launch_bounds__(256) row_norms_kernel(const RowNorms args) {
  __shared__ float shared[32];
  allow_next();
  begin();
  const int row = static_cast<int>(blockIdx.x);
  float sum = 0.0f;
  for (int col = static_cast<int>(threadIdx.x); col < args.cols; col += 256) {
    float value = args.w[static_cast<long long>(row) * args.cols + col];
    if (args.a) {
      float change = 0.0f;
      for (int j = 0; j < args.rank; ++j)
        change = fmaf(args.b[static_cast<long long>(j) * args.all_outs + args.first + row],
                      args.a[static_cast<long long>(j) * args.cols + col], change);
      value += args.scale * change;
    }
    sum = fmaf(value, value, sum);
  }
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) args.norms[args.first + row] = sqrtf(sum);
}

template <typename Job>
int widest(std::span<const Job> jobs) {
  int cols = 0;
  for (const Job& job : jobs) cols = std::max(cols, job.cols);
  return cols;
}

void add_parts(std::span<const GradientJob> jobs, const SequenceTable& sequences,
               cudaStream_t stream) {
  long long most = 0;
  for (const GradientJob& job : jobs)
    most = std::max(most, static_cast<long long>(job.rank) * job.cols);
  launch(add_parts_kernel, dim3(blocks_for(most, 256), static_cast<unsigned>(jobs.size())), 256, 0,
         stream, jobs_of(jobs), sequences.sequences, sequences.sequence_count);
}

}  // namespace

void narrow_products(std::span<const NarrowJob> jobs, int rows, cudaStream_t stream) {
  if (jobs.empty()) return;
  const dim3 grid(blocks_for(rows, kNarrowRows), groups_of(jobs));
  if (in_fours(jobs))
    launch(narrow_kernel<4>, grid, kNarrowWarps * 32, 0, stream, jobs_of(jobs), rows);
  else
    launch(narrow_kernel<1>, grid, kNarrowWarps * 32, 0, stream, jobs_of(jobs), rows);
}

void add_gradients(std::span<const GradientJob> jobs, const SequenceTable& sequences,
                   cudaStream_t stream) {
  if (jobs.empty()) return;
  const bool fours = in_fours(jobs);
  const int width = fours ? 4 : 1;
  const dim3 grid(blocks_for(widest(jobs), kGradientThreads * width),
                  static_cast<unsigned>(sequences.chunk_count), groups_of(jobs));
  launch(fours ? gradient_kernel<4> : gradient_kernel<1>, grid, kGradientThreads, 0, stream,
         jobs_of(jobs), sequences.chunks);
  add_parts(jobs, sequences, stream);
}

void multiplier_backward(float* gradient, const float* unscaled, const float* multiplier,
                         float* multiplier_gradient, float* parts, int cols,
                         const SequenceTable& sequences, cudaStream_t stream) {
  launch(multiplier_kernel,
         dim3(blocks_for(cols, 128), static_cast<unsigned>(sequences.chunk_count)), 128, 0, stream,
         gradient, unscaled, multiplier, parts, cols, sequences.chunks);
  const GradientJob job{.sum = multiplier_gradient, .parts = parts, .cols = cols, .rank = 1};
  add_parts(std::span<const GradientJob>(&job, 1), sequences, stream);
}

DropoutDraw dropout_draw(float rate, std::uint64_t key) {
  const double wide = rate;
  return {.key = key,
          .threshold = static_cast<std::uint32_t>(std::ceil(wide * 0x1.0p32)),
          .factor = static_cast<float>(1.0 / (1.0 - wide))};
}

void drop(const float* x, const DropoutDraw& draw, float* out, int cols,
          const SequenceTable& sequences, cudaStream_t stream) {
  launch(drop_kernel,
         dim3(blocks_for(cols, kDropThreads * 4), static_cast<unsigned>(sequences.chunk_count)),
         kDropThreads, 0, stream, x, draw, out, cols, sequences.sequences, sequences.chunks);
}

void add_dropped(const float* low, const float* a, int rank, const DropoutDraw& draw, float* out,
                 int cols, const SequenceTable& sequences, cudaStream_t stream) {
  launch(add_dropped_kernel,
         dim3(blocks_for(cols, kDropThreads * 4), static_cast<unsigned>(sequences.chunk_count)),
         kDropThreads, 0, stream, low, a, rank, draw, out, cols, sequences.sequences,
         sequences.chunks);
}

void row_norms(const RowNorms& args, cudaStream_t stream) {
  launch(row_norms_kernel, dim3(static_cast<unsigned>(args.outs)), 256, 0, stream, args);
}

}  // namespace bobby::cuda
