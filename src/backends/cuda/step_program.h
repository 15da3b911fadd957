#pragma once

// A whole decode step of a few rows as one persistent kernel (docs/adr/0010): what the host tells
// it.

#include <cstdint>
#include <cuda_runtime.h>

#include "backends/cuda/attention_kernels.h"
#include "backends/cuda/linear_kernels.h"

namespace bobby::cuda {

inline constexpr int kStepRows = 4;        ///< most rows of a step
inline constexpr int kStepProducts = 4;    ///< of a layer: q|k|v, o, gate|up, down; then the head
inline constexpr int kStepSlots = 6;       ///< most slots of the ring
inline constexpr int kStepMaxRank = 64;    ///< of an adapter
inline constexpr int kQuarterGroups = 16;  ///< groups of a copy: a quarter of 4096 columns
inline constexpr int kStretchGroups = 64;  ///< 4096 columns

enum StepProduct : int { kStepQkv, kStepO, kStepGateUp, kStepDown, kStepHead };

/// Up to three matrices in tile order that one x is multiplied by.
struct StepLinear {
  const unsigned char* tiles[kMatrices] = {};
};

struct StepLayer {
  const float* input_norm = nullptr;  ///< [hidden]
  const float* post_norm = nullptr;   ///< [hidden]
  const float* q_norm = nullptr;      ///< [128], or null
  const float* k_norm = nullptr;
  StepLinear products[kStepProducts];
  unsigned char* kv = nullptr;  ///< this layer's part of the pool
};

/// What an adapter adds to one row of one matrix: scale * B z. rank 0: nothing.
struct StepDelta {
  const float* b = nullptr;  ///< [out_features, rank]
  float scale = 0.0f;
  int rank = 0;
  int z = 0;  ///< where its z begins
};

/// One number of z: a row of A times a row of x.
struct StepDot {
  const float* a = nullptr;  ///< [cols]
  int x_row = 0;
  int z = 0;
};

/// A step's adapters. Empty: null pointers.
struct StepAdapters {
  const StepDelta* deltas = nullptr;  ///< [layers, products, kMatrices, kStepRows]
  /// [layers * products + 1]: where each product's dots begin, by row of x.
  const int* dots_begin = nullptr;
  const StepDot* dots = nullptr;
  unsigned long long* z = nullptr;  ///< each a float with the step's number above it
};

/// What blocks make for each other, fp32. A number is kUnset until it has been written, and is so
/// again before the next layer writes it: who waits for a number looks at the number itself.
struct StepExchange {
  float* x = nullptr;    ///< [rows, hidden]: the residual stream behind a layer
  float* mid = nullptr;  ///< [rows, hidden]: behind its attention
  float* q = nullptr;    ///< [rows, heads * 128]
  float* k = nullptr;
  float* v = nullptr;
  float* attention = nullptr;   ///< [rows, heads * 128]
  float* activation = nullptr;  ///< [rows, intermediate]
  /// How many products, of all steps, the first block has had x of. For blocks that leave products
  /// out, and could take another layer's numbers for the ones they want.
  unsigned* progress = nullptr;
};

struct StepArgs {
  // What stays.
  const StepLayer* layers = nullptr;
  StepLinear head;
  const unsigned char* table = nullptr;  ///< embedding, in tile order
  const float* final_norm = nullptr;
  const float* inv_freq = nullptr;  ///< [64]
  int layer_count = 0;
  int hidden = 0;
  int heads = 0;
  int kv_heads = 0;
  int intermediate = 0;
  int vocab = 0;
  float eps = 0.0f;
  float scale = 0.0f;       ///< of scores
  KvLayer kv;               ///< `data` is the layer's
  float* x = nullptr;       ///< [rows, hidden]: behind the last layer
  float* logits = nullptr;  ///< [rows, vocab]
  StepExchange exchange;
  unsigned* chunk_counters = nullptr;  ///< [rows, heads], zero between steps
  // The division of labour.
  int workers = 0;  ///< blocks that multiply; those after them are for adapters
  int spares = 0;
  int x_groups = 0;     ///< most groups of a row of x
  int slots = 0;        ///< of the ring
  int x_scales_at = 0;  ///< in shared memory, and so on
  int own_x_at = 0;
  int ring_at = 0;
  int many_copies = 0;  ///< under way in a block that multiplies
  int few_copies = 0;   ///< in one that waits
  int own_columns = 0;  ///< most columns of x that a block makes
  // What changes with a step.
  int rows = 0;
  unsigned epoch = 0;  ///< of z: not that of any step before
  int tokens[kStepRows] = {};
  int positions[kStepRows] = {};
  int blocks_begin[kStepRows] = {};
  const int* blocks = nullptr;
  float* parts = nullptr;    ///< [rows, heads, chunks, 128] of rows longer than a chunk
  float2* totals = nullptr;  ///< [rows, heads, chunks]
  int chunks = 0;            ///< of the longest row
  StepAdapters adapters;
};

/// Says where everything stands in a block's shared memory, and how long the ring is. Returns the
/// bytes in all, or 0 if `limit` is too few.
std::size_t place_step(StepArgs& args, std::size_t limit);

/// Enqueues a step. `element`: of the scales; `format`: of the cache.
cudaError_t run_step(const StepArgs& args, Element element, std::size_t shared_bytes,
                     cudaStream_t stream);
/// Whether the device can hold such a kernel's blocks all at once; makes it ready to run. `limit`:
/// shared memory that a block may have.
bool can_run_step(const StepArgs& args, Element element, std::size_t shared_bytes,
                  std::size_t limit);

}  // namespace bobby::cuda
