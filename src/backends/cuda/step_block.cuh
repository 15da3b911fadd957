#pragma once

// A block of the whole-step kernel: its warps, its shared memory, its share of each product.
//
// Eight warps compute: warp w takes the parts w and w + 8 of tile_order.h in every stretch of 4096
// columns. Another fills the ring, one adds the parts up and writes outputs, one serves adapters.

#include "backends/cuda/head_attention.cuh"
#include "backends/cuda/step_ring.cuh"
#include "backends/cuda/tiled.cuh"

namespace bobby::cuda {

inline constexpr int kReaderWarps = 8;
inline constexpr int kReaders = kReaderWarps * 32;
inline constexpr int kSets = kTileParts / kReaderWarps;  ///< parts of a warp
enum StepWarp : int { kRingWarp = kReaderWarps, kWriterWarp, kAdapterWarp };
inline constexpr int kStepThreads = (kReaderWarps + 3) * 32;
inline constexpr int kChunkTiles = 2;  ///< tiles that a warp multiplies side by side

inline constexpr int kBuffers = 2;   ///< chunks whose parts may wait to be added up
inline constexpr int kMostDots = 8;  ///< that a block for adapters adds up together

enum Barrier : int { kAllReaders = 1, kMergers = 2 };

/// Block w of `workers` has the units [units * w / workers, units * (w + 1) / workers).
struct Share {
  int begin = 0;
  int count = 0;
  __device__ Share(int units, int worker, int workers)
      : begin(units * worker / workers), count(units * (worker + 1) / workers - begin) {}
};

/// What the readers need to know of a layer.
struct LayerShared {
  const float* input_norm;
  const float* post_norm;
  const float* q_norm;
  const float* k_norm;
  unsigned char* kv;
};

/// Fixed parts of a block's shared memory.
template <int Rows>
struct StepShared {
  unsigned long long full[kStepSlots * 4];  // of the ring
  unsigned long long empty[kStepSlots * 4];
  unsigned long long parts_full[kBuffers];
  unsigned long long parts_free[kBuffers];
  unsigned long long deltas_full[kBuffers];
  unsigned long long deltas_free[kBuffers];
  float parts[kBuffers][kReaderWarps][kChunkTiles][kTileRows][Rows];
  float deltas[kBuffers][kChunkTiles][kTileRows][Rows];  // what adapters add to them
  HeadShared head;
  float2 angles[Rows][kHeadDim / 2];
  float z[kMatrices * Rows * kStepMaxRank];
  float squares[Rows][kTileParts];
  float dots[2][kMostDots][kTileParts];
  LayerShared layers[2];           // this layer's and the next one's
  int2 shares[kStepProducts + 1];  // this block's tiles of each product: the first, how many
  int multiplies;                  // whether the readers do, and do not wait
  unsigned seen;                   // readers' warps that have had x of a product, counted
  int last;                        // whether this block merges a row's chunks
};

/// The block's shared memory: StepShared, then rows of x and the ring where StepArgs says.
extern __shared__ __align__(128) unsigned char step_memory[];

/// A block as one of its threads sees it. Made anew for each phase of a step: the compiler cannot
/// know that the thread is the same, and so does not keep in registers, which are few, what can be
/// found again.
template <int Rows>
class Block {
 public:
  __device__ Block() { asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread_)); }
  __device__ static StepShared<Rows>& shared() {
    return *reinterpret_cast<StepShared<Rows>*>(step_memory);
  }
  /// [rows, x_groups] of 128: hi, lo
  __device__ static unsigned char* x_bytes() {
    return step_memory + (sizeof(StepShared<Rows>) + 127) / 128 * 128;
  }
  /// [rows, x_groups + 1]
  __device__ static float2* x_scales(const StepArgs& args) {
    return reinterpret_cast<float2*>(step_memory + args.x_scales_at);
  }
  /// [rows, own columns]: this block's columns of the residual stream, the writer's
  __device__ static float* own_x(const StepArgs& args) {
    return reinterpret_cast<float*>(step_memory + args.own_x_at);
  }
  __device__ static Ring ring(const StepArgs& args) {
    return {step_memory + args.ring_at, shared().full, shared().empty, args.slots};
  }
  __device__ int thread() const { return static_cast<int>(thread_); }
  __device__ static int worker() { return static_cast<int>(blockIdx.x); }
  __device__ int warp() const { return static_cast<int>(thread_ / 32); }
  __device__ int lane() const { return static_cast<int>(thread_ % 32); }

  __device__ static void init(const StepArgs& args) {
    ring(args).init();
    for (auto& barrier : shared().parts_full) init_barrier(&barrier, kReaderWarps);
    for (auto& barrier : shared().parts_free) init_barrier(&barrier, 1);
    for (auto& barrier : shared().deltas_full) init_barrier(&barrier, 1);
    for (auto& barrier : shared().deltas_free) init_barrier(&barrier, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    shared().seen = 0;
    shared().multiplies = worker() >= args.workers;  // a block for adapters does nothing else
  }

 private:
  unsigned thread_;
};

/// A warp of readers has had all its numbers of one more product.
template <int Rows>
__device__ void have_seen(const Block<Rows>& block) {
  __syncwarp();
  if (block.lane() != 0) return;
  __threadfence_block();
  atomicAdd(&block.shared().seen, 1u);
}

/// Until all readers have had the numbers of product `index`, counted from the step's first.
template <int Rows>
__device__ void wait_seen(const Block<Rows>& block, int index) {
  const volatile unsigned* seen = &block.shared().seen;
  while (*seen < static_cast<unsigned>((index + 1) * kReaderWarps)) __nanosleep(20);
  __syncwarp();
}

/// Which buffer comes next, and in which phase its barriers are.
struct Turn {
  int buffer = 0;
  unsigned phase = 0;

  __device__ void next() {
    if (++buffer < kBuffers) return;
    buffer = 0;
    phase ^= 1;
  }
};

// --- what a product is made of -----------------------------------------------------------------

__device__ inline int product_cols(const StepArgs& args, int product) {
  return product == kStepO      ? args.heads * kHeadDim
         : product == kStepDown ? args.intermediate
                                : args.hidden;
}

__device__ inline int stretches_of(int groups) {
  return (groups + kStretchGroups - 1) / kStretchGroups;
}

/// What a product multiplies, before the norm if it has one.
__device__ inline const float* source_of(const StepArgs& args, int product) {
  switch (product) {
    case kStepO: return args.exchange.attention;
    case kStepGateUp: return args.exchange.mid;
    case kStepDown: return args.exchange.activation;
    default: return args.exchange.x;
  }
}

/// Which matrix and which of its rows tile `tile` of a product begins with; of gate and up, of this
/// block's.
struct TilePlace {
  int matrix;
  int row;
};

__device__ inline TilePlace place_of(const StepArgs& args, int product, int tile) {
  if (product == kStepGateUp) {
    // A block's pairs are `workers` apart: then all but the last of every block's are early columns
    // of the next product.
    const int worker = static_cast<int>(blockIdx.x);
    return {tile % 2, ((tile / 2 - worker) * args.workers + worker) * kTileRows};
  }
  const int row = tile * kTileRows;
  if (product != kStepQkv) return {0, row};
  const int q = args.heads * kHeadDim;
  const int k = args.kv_heads * kHeadDim;
  return row < q       ? TilePlace{0, row}
         : row < q + k ? TilePlace{1, row - q}
                       : TilePlace{2, row - q - k};
}

/// Tiles of a product, pairs of gate and up counted as two.
__device__ inline int product_tiles(const StepArgs& args, int product) {
  switch (product) {
    case kStepQkv: return (args.heads + 2 * args.kv_heads) * kHeadDim / kTileRows;
    case kStepGateUp: return args.intermediate / kTileRows * 2;
    case kStepHead: return args.vocab / kTileRows;
    default: return args.hidden / kTileRows;
  }
}

/// A block's tiles of a product.
__device__ inline Share share_of(const StepArgs& args, int product, int worker) {
  const int tiles = product_tiles(args, product);
  Share share(tiles, worker, args.workers);
  if (product == kStepGateUp) {
    share.begin = worker * 2;
    share.count = (tiles / 2 - worker + args.workers - 1) / args.workers * 2;
  }
  return share;
}

__device__ inline bool has_adapters(const StepArgs& args, int layer, int product) {
  if (!args.adapters.dots_begin || product == kStepHead) return false;
  const int* begin = args.adapters.dots_begin + layer * kStepProducts + product;
  return __ldg(begin + 1) > __ldg(begin);
}

/// Products of all steps before this one.
__device__ inline unsigned products_before(const StepArgs& args) {
  return args.epoch * static_cast<unsigned>(args.layer_count * kStepProducts + 1);
}

/// Calls run(layer, product) for all products of a step in order.
template <typename Run>
__device__ void each_product(const StepArgs& args, const Run& run) {
#pragma unroll 1
  for (int i = 0; i <= args.layer_count * kStepProducts; ++i) {
    const int layer = i / kStepProducts;
    run(layer, layer == args.layer_count ? static_cast<int>(kStepHead) : i % kStepProducts);
  }
}

}  // namespace bobby::cuda
