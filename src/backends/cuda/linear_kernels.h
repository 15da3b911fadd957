#pragma once

// The kernels of linear() and embed(). Sums are fp32 in an order that depends on the weight's
// columns alone, so that a row's bits depend neither on the other rows nor on their number.

#include <cstdint>
#include <cuda_runtime.h>

namespace bobby::cuda {

/// Columns that are quantised, multiplied and summed together: as many as every group is a multiple
/// of, and of a weight of b bits exactly b words.
inline constexpr int kChunk = 32;

enum class Element : int { kF32, kF16, kBF16 };

/// A weight on the device. Dense: `weight` holds `element`s; affine: packed words, and `element`s
/// in scales and biases; in tile order: `weight` holds all of it.
struct Matrix {
  const void* weight = nullptr;
  const void* scales = nullptr;
  const void* biases = nullptr;
  float* out = nullptr;  ///< [x_rows, rows]
  int rows = 0;
  int tiles_before = 0;  ///< tiles of 16 rows that the matrices before this one take
};

inline constexpr int kMatrices = 3;

/// Matrices of one format that are multiplied by the same x.
struct Matrices {
  Matrix each[kMatrices];
  int count = 0;
  int tiles = 0;
  int cols = 0;
  int bits = 0;  ///< 0: dense
  int chunks_a_group = 0;
  bool tiled = false;  ///< in tile order: see tile_order.h
  Element element = Element::kF32;
};

/// Rows of x in q15: by chunks of 32 columns, each number hi * 128 + lo in two signed bytes.
struct Quantized {
  /// [rows, 4 planes, chunks] of 16 bytes: hi 0..15, hi 16..31, lo 0..15, lo 16..31 of a chunk, in
  /// the order in which the weight's bits unpack.
  uint4* planes = nullptr;
  float2* scales = nullptr;  ///< [rows, chunks]: the group's scale, the chunk's sum of rounded x
};

/// Rows [row_begin, row_begin + row_count) of the step with one low-rank pair.
struct LoraEntry {
  const float* a = nullptr;           ///< [rank, in_features]
  const float* b = nullptr;           ///< [out_features, rank]
  const float* multiplier = nullptr;  ///< [out_features], or null
  float scale = 1.0f;
  int row_begin = 0;
  int row_count = 0;
  int rank = 0;
  int in_features = 0;
  int ax_begin = 0;     ///< where in `ax` [row_count, rank] begins
  int matrix = 0;       ///< which of the projections
  bool prompt = false;  ///< rows of a prompt: their A has a kernel of its own

  bool operator==(const LoraEntry&) const = default;
};

/// Few entries travel with the launch, more lie in device memory.
struct LoraEntries {
  static constexpr int kInline = 12;
  LoraEntry few[kInline];
  const LoraEntry* many = nullptr;
  int count = 0;

#ifdef __CUDACC__
  __device__ const LoraEntry& operator[](int i) const {
    return many ? many[i] : few[i];
  }
#endif
};

/// Biases (null: none) and outputs of up to three projections.
struct Finish {
  const float* bias[kMatrices] = {};
  float* out[kMatrices] = {};
  int rows[kMatrices] = {};  ///< out_features
  int count = 0;
};

/// Biases and what adapters add to the outputs of a product: left to the kernel that reads them
/// next. No outputs: nothing is left.
struct Deltas {
  Finish of;
  LoraEntries entries;
  const float* ax = nullptr;
  int rows = 0;

  /// Whether these are the deltas of these outputs of so many rows, in this order.
  template <typename... Outputs>
  bool are_of(std::int64_t of_rows, const Outputs*... outputs) const {
    int i = 0;
    return rows == of_rows && of.count == static_cast<int>(sizeof...(outputs)) &&
           ((of.out[i++] == outputs) && ...);
  }
};

/// What adapters add to the outputs of one launch of a product, which adds it itself. Rows are the
/// launch's own.
struct InnerDeltas {
  LoraEntries entries;            ///< matrix by matrix
  int first[kMatrices + 1] = {};  ///< matrix m has those from first[m] to first[m + 1]
  const float* x = nullptr;
  float* ax = nullptr;
  int most_rank = 0;
  int most_rows = 0;
  int all_ranks = 0;  ///< of the entries together
  /// Several entries of a matrix have multipliers, which are of the product alone.
  bool multiplied = false;
};

void quantize(const float* x, int rows, int cols, int group_size, int bits, Quantized to,
              cudaStream_t stream);
void affine_product(const Matrices& matrices, Quantized x, int rows, cudaStream_t stream);
void dense_product(const Matrices& matrices, const float* x, int rows, cudaStream_t stream);
/// ax[entry][row][r] = A_r . x_row, for the entries of decode.
void lora_a(const LoraEntries& entries, int max_rank, int max_rows, const float* x, float* ax,
            cudaStream_t stream);
/// The same for the entries of prompts. `odd`: some have columns that are no multiple of four.
void lora_a_prompts(const LoraEntries& entries, int max_rank, int max_rows, bool odd,
                    const float* x, float* ax, cudaStream_t stream);
/// Adds the deltas to the outputs that they are of.
void finish(const Deltas& deltas, cudaStream_t stream);
/// out = silu(gate) * up for the outputs of these deltas, with them.
void gate_deltas(const Deltas& deltas, float* out, cudaStream_t stream);
void embed(const Matrix& table, const Matrices& format, const int* tokens, int count,
           const LoraEntries& entries, float* out, cudaStream_t stream);

}  // namespace bobby::cuda
