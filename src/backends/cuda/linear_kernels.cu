// Dense weights, adapters, biases, embed().

#include "backends/cuda/finish.cuh"
#include "backends/cuda/orders.cuh"
#include "backends/cuda/tiled.cuh"

namespace bobby::cuda {
namespace {

// --- dense weights ---------------------------------------------------------------------------

/// A warp a row of the weight, for Rows rows of x: lane l takes the columns l, l + 32, ...
template <int Rows, Element Type>
__global__ void __launch_bounds__(kThreads)
    dense_kernel(Matrices matrices, const float* x, int x_rows) {
  allow_next();
  begin();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int tile = static_cast<int>(blockIdx.x) / 2;
  const Matrix& matrix = matrix_of(matrices, tile);
  const int row =
      (tile - matrix.tiles_before) * kTileRows + static_cast<int>(blockIdx.x) % 2 * 8 + warp;
  if (row >= matrix.rows) return;
  const int x_begin = static_cast<int>(blockIdx.y) * Rows;
  const int cols = matrices.cols;
  float sums[Rows] = {};
#pragma unroll 4
  for (int k = lane; k < cols; k += 32) {
    const float weight = widen<Type>(matrix.weight, static_cast<long long>(row) * cols + k);
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      const long long x_row = min(x_begin + r, x_rows - 1);
      sums[r] = fmaf(weight, x[x_row * cols + k], sums[r]);
    }
  }
#pragma unroll
  for (int r = 0; r < Rows; ++r) {
    const float sum = warp_sum(sums[r]);
    if (lane == 0 && x_begin + r < x_rows)
      matrix.out[static_cast<long long>(x_begin + r) * matrix.rows + row] = sum;
  }
}

// --- LoRA and bias ---------------------------------------------------------------------------

constexpr int kRanks = 2;  // rows of A and
constexpr int kRows = 4;   // of x that a block multiplies
constexpr int kDots = kRanks * kRows;

/// warp_sum() of eight numbers at once: the same tree, but lane l keeps the sum of number l / 4.
__device__ float sum_dots(const float (&x)[kDots], int lane) {
  float four[4], two[2];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    four[i] = (lane & 16 ? x[i + 4] : x[i]) +
              __shfl_xor_sync(0xffffffffu, lane & 16 ? x[i] : x[i + 4], 16);
#pragma unroll
  for (int i = 0; i < 2; ++i)
    two[i] = (lane & 8 ? four[i + 2] : four[i]) +
             __shfl_xor_sync(0xffffffffu, lane & 8 ? four[i] : four[i + 2], 8);
  float one =
      (lane & 4 ? two[1] : two[0]) + __shfl_xor_sync(0xffffffffu, lane & 4 ? two[0] : two[1], 4);
  one += __shfl_xor_sync(0xffffffffu, one, 2);
  return one + __shfl_xor_sync(0xffffffffu, one, 1);
}

/// The order of sums is dot_eight()'s over kNormThreads threads, then block_sum()'s: the whole-step
/// kernel has the same. A block reads its rows of A once for four rows of x.
__global__ void __launch_bounds__(kNormThreads)
    lora_a_kernel(const __grid_constant__ LoraEntries entries, const float* x, float* ax) {
  __shared__ float sums[kNormThreads / 32][kDots];
  allow_next();
  const LoraEntry& entry = entries[static_cast<int>(blockIdx.z)];
  const int first_rank = static_cast<int>(blockIdx.x) * kRanks;
  const int first_row = static_cast<int>(blockIdx.y) * kRows;
  if (entry.prompt || first_rank >= entry.rank || first_row >= entry.row_count) return begin();
  const int cols = entry.in_features;
  const int rows = min(kRows, entry.row_count - first_row);
  const int tid = static_cast<int>(threadIdx.x);
  const float* a = entry.a + static_cast<long long>(first_rank) * cols;
  const int second = min(1, entry.rank - 1 - first_rank) * cols;
  const float* from = x + static_cast<long long>(entry.row_begin + first_row) * cols;
  float dots[kDots] = {};
  for (int at = tid * 8, stretch = 0; stretch * kNormStretch < cols;
       at += kNormStretch, ++stretch) {
    float of_a[kRanks][8], of_x[kRows][8];
    if (at < cols) {
      load_eight_of(a, at, cols, of_a[0]);
      load_eight_of(a + second, at, cols, of_a[1]);
    }
    if (stretch == 0) begin();  // A is under way while x is still being made
    if (at >= cols) continue;
#pragma unroll
    for (int i = 0; i < kRows; ++i)
      if (i < rows) load_eight_of(from + static_cast<long long>(i) * cols, at, cols, of_x[i]);
#pragma unroll
    for (int i = 0; i < kRows; ++i)
      if (i < rows)
#pragma unroll
        for (int r = 0; r < kRanks; ++r)
          dots[r * kRows + i] = dot_eight(of_a[r], of_x[i], dots[r * kRows + i]);
  }
  const float sum = sum_dots(dots, tid % 32);
  if (tid % 4 == 0) sums[tid / 32][tid % 32 / 4] = sum;
  __syncthreads();
  const int r = first_rank + tid / kRows;
  if (tid >= kDots || tid % kRows >= rows || r >= entry.rank) return;
  float parts[kNormThreads / 32];
#pragma unroll
  for (int w = 0; w < kNormThreads / 32; ++w) parts[w] = sums[w][tid] + 0.0f;
#pragma unroll
  for (int half = kNormThreads / 64; half > 0; half /= 2)
#pragma unroll
    for (int w = 0; w < half; ++w) parts[w] += parts[w + half];
  ax[entry.ax_begin + (first_row + tid % kRows) * entry.rank + r] = parts[0];
}

constexpr int kFewRows = 64;  // up to here a block takes one

/// A thread an output of `Rows` rows.
template <int Rows>
__global__ void finish_kernel(const __grid_constant__ Deltas deltas) {
  __shared__ Matching matching;
  allow_next();
  begin();
  const int matrix = static_cast<int>(blockIdx.z);
  const int first_row = static_cast<int>(blockIdx.y) * Rows;
  const int out_features = deltas.of.rows[matrix];
  const int o = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  matching.find(deltas.entries, matrix, first_row, first_row + Rows);
  if (o >= out_features || (matching.count == 0 && !deltas.of.bias[matrix])) return;
  float sums[Rows];
  finished<Rows>(deltas, matching, matrix, o, first_row, sums);
  float* out = deltas.of.out[matrix] + static_cast<long long>(first_row) * out_features + o;
#pragma unroll
  for (int i = 0; i < Rows; ++i)
    if (first_row + i < deltas.rows) out[static_cast<long long>(i) * out_features] = sums[i];
}

// --- embed -----------------------------------------------------------------------------------

template <Element Type>
__global__ void embed_kernel(Matrix table, Matrices format, const int* tokens, LoraEntries entries,
                             float* out) {
  allow_next();
  begin();
  const int row = static_cast<int>(blockIdx.y);
  const int column = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= format.cols) return;
  const long long token = tokens[row];
  float value;
  if (format.bits == 0) {
    value = widen<Type>(table.weight, token * format.cols + column);
  } else if (format.tiled) {
    value = tiled_number<Type>(static_cast<const unsigned char*>(table.weight), format.cols, token,
                               column);
  } else {
    const auto* words =
        static_cast<const unsigned*>(table.weight) + token * (format.cols / kChunk) * format.bits;
    const int bit = column * format.bits;
    const int shift = bit % 32;
    unsigned level = words[bit / 32] >> shift;
    if (shift + format.bits > 32) level |= words[bit / 32 + 1] << (32 - shift);
    level &= (1u << format.bits) - 1;
    const int group_size = format.chunks_a_group * kChunk;
    const long long group = token * (format.cols / group_size) + column / group_size;
    value = widen<Type>(table.scales, group) * static_cast<float>(level) +
            widen<Type>(table.biases, group);
  }
  for (int i = 0; i < entries.count; ++i) {
    const LoraEntry& entry = entries[i];
    if (row < entry.row_begin || row >= entry.row_begin + entry.row_count) continue;
    const float* b = entry.b + static_cast<long long>(column) * entry.rank;
    float delta = 0.0f;
    for (int r = 0; r < entry.rank; ++r)
      delta = fmaf(b[r], entry.a[static_cast<long long>(r) * entry.in_features + token], delta);
    value += entry.scale * delta;
  }
  out[static_cast<long long>(row) * format.cols + column] = value;
}

}  // namespace

void dense_product(const Matrices& matrices, const float* x, int rows, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(matrices.tiles) * 2;
  dispatch(matrices.element, [&]<Element Type>() {
    if (rows == 1)
      launch(dense_kernel<1, Type>, dim3(blocks), kThreads, 0, stream, matrices, x, rows);
    else
      launch(dense_kernel<8, Type>, dim3(blocks, blocks_for(rows, 8)), kThreads, 0, stream,
             matrices, x, rows);
  });
}

void lora_a(const LoraEntries& entries, int max_rank, int max_rows, const float* x, float* ax,
            cudaStream_t stream) {
  const dim3 grid(blocks_for(max_rank, kRanks), blocks_for(max_rows, kRows),
                  static_cast<unsigned>(entries.count));
  launch(lora_a_kernel, grid, kNormThreads, 0, stream, entries, x, ax);
}

void finish(const Deltas& deltas, cudaStream_t stream) {
  int most = 0;
  for (int i = 0; i < deltas.of.count; ++i)
    most = deltas.of.rows[i] > most ? deltas.of.rows[i] : most;
  const auto blocks = blocks_for(most, kThreads);
  const auto matrices = static_cast<unsigned>(deltas.of.count);
  if (deltas.rows <= kFewRows)
    launch(finish_kernel<1>, dim3(blocks, static_cast<unsigned>(deltas.rows), matrices), kThreads,
           0, stream, deltas);
  else
    launch(finish_kernel<8>, dim3(blocks, blocks_for(deltas.rows, 8), matrices), kThreads, 0,
           stream, deltas);
}

void embed(const Matrix& table, const Matrices& format, const int* tokens, int count,
           const LoraEntries& entries, float* out, cudaStream_t stream) {
  const dim3 grid(blocks_for(format.cols, kThreads), static_cast<unsigned>(count));
  dispatch(format.element, [&]<Element Type>() {
    launch(embed_kernel<Type>, grid, kThreads, 0, stream, table, format, tokens, entries, out);
  });
}

}  // namespace bobby::cuda
