#pragma once

// Sums of products of matrices in blocks: out [rows, cols] = the sum over terms of a b, in fp32. An
// element of out is one chain of sums along the depth of the first term, then of the next: neither
// the rows beside it nor the tile that it lies in can change it.

#include <cuda_runtime.h>

#include "backends/cuda/training/blocks.h"

namespace bobby::cuda {

inline constexpr int kMostOutputs = 3;
inline constexpr int kMostTerms = 8;

/// a [rows, depth] and b, whose rows are either columns of out, or the depth: one or the other in
/// all terms of a call.
struct ProductTerm {
  const unsigned char* a = nullptr;
  const unsigned char* b = nullptr;
  int depth_blocks = 0;
};

/// out = multiplier * sum + bias, where those are given.
struct ProductOutput {
  float* out = nullptr;  ///< [rows, cols]
  const float* multiplier = nullptr;
  const float* bias = nullptr;
  float* unscaled = nullptr;  ///< with a multiplier: [rows, cols], the sum
  int cols = 0;
  int col_blocks = 0;
  int first_term = 0;
  int terms = 0;
  int tiles_before = 0;  ///< set by product()
};

struct ProductArgs {
  ProductTerm terms[kMostTerms];
  ProductOutput outputs[kMostOutputs];
  int output_count = 0;
  int term_count = 0;
  int rows = 0;
  bool depth_rows = false;  ///< b's rows are the depth
  int row_tiles = 0;        ///< set by product()
  int tiles = 0;            ///< set by product()

  /// The next output, whose terms are to follow; cols are its own.
  ProductOutput& add_output(float* out, int cols);
  /// A term of the last output.
  void add_term(const unsigned char* a, const unsigned char* b, int depth_blocks);
};

enum class ProductPath : unsigned char {
  kFastest,
  kPlain,  ///< that of every device since Ampere
};

void product(ProductArgs args, cudaStream_t stream, ProductPath path = ProductPath::kFastest);

/// The two implementations.
void product_on_warpgroups(ProductArgs args, cudaStream_t stream);
void product_on_warps(ProductArgs args, cudaStream_t stream);

}  // namespace bobby::cuda
