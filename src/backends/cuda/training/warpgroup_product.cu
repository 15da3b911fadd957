// Products on Hopper's warpgroups: tiles of 128 rows and up to 256 columns, two warpgroups of 64
// rows each, fed by one thread through a ring of shared memory. Two blocks of a cluster take two
// tiles of rows beside the same columns and load each half of b for both.

#include <algorithm>

#include "backends/cuda/launch.cuh"
#include "backends/cuda/training/instructions.cuh"
#include "backends/cuda/training/product.cuh"

namespace bobby::cuda {
namespace {

constexpr int kConsumerWarps = 8;
constexpr int kThreads = kConsumerWarps * 32 + 128;
constexpr int kRowBlocks = 2;  // of a tile
[[maybe_unused]] constexpr int kConsumerRegisters = 232;
[[maybe_unused]] constexpr int kProducerRegisters = 40;
constexpr int kShared = 200 * 1024;  // for the ring

/// The ring of tiles of `kColBlocks` blocks of columns, 64 numbers of depth a stage.
template <int kColBlocks>
struct RingShape {
  static constexpr int kStage = (kRowBlocks + kColBlocks) * kBlockBytes;
  static constexpr int kStages = kShared / kStage < 8 ? kShared / kStage : 8;
  static constexpr int kBarriersAt = kStages * kStage;
  static constexpr int kBytes = 1024 + kBarriersAt + 2 * kStages * 8;
};

#ifdef BOBBY_WGMMA

template <int kColBlocks, int kCluster>
struct Ring {
  using Shape = RingShape<kColBlocks>;
  unsigned char* memory;
  int stage = 0;
  unsigned phase = 0;

  __device__ unsigned char* a() const { return memory + stage * Shape::kStage; }
  __device__ unsigned char* b() const { return a() + kRowBlocks * kBlockBytes; }
  __device__ std::uint64_t* full(int of) const {
    return reinterpret_cast<std::uint64_t*>(memory + Shape::kBarriersAt) + of;
  }
  __device__ std::uint64_t* empty(int of) const { return full(of) + Shape::kStages; }
  __device__ void init() const {
    for (int i = 0; i < Shape::kStages; ++i) {
      barrier_init(full(i), 1);
      barrier_init(empty(i), kConsumerWarps * kCluster);
    }
    barrier_init_done();
  }
  __device__ void next() {
    if (++stage == Shape::kStages) {
      stage = 0;
      phase ^= 1;
    }
  }
  /// By one lane of each consuming warp: the stage may be filled again, in every block.
  __device__ void release(int of) const {
    if constexpr (kCluster == 1) {
      barrier_arrive(empty(of));
    } else {
      for (unsigned rank = 0; rank < kCluster; ++rank) barrier_arrive_at(empty(of), rank);
    }
  }
};

/// A tile: which rows and which columns of which output.
struct Tile {
  const ProductOutput* output;
  int row_tile;     ///< of 128 rows
  int first_block;  ///< of columns
};

/// Tiles of rows follow each other, so that blocks at work at one time share b.
template <int kColBlocks, int kCluster>
__device__ Tile tile_of(const ProductArgs& args, int index, unsigned rank) {
  const int row_groups = (args.row_tiles + kCluster - 1) / kCluster;
  const int column_tile = index / row_groups;
  Tile tile;
  tile.output = &output_of(args, column_tile);
  tile.row_tile = index % row_groups * kCluster + static_cast<int>(rank);
  tile.first_block = (column_tile - tile.output->tiles_before) * kColBlocks;
  return tile;
}

/// The producing thread.
template <bool kDepthRows, int kColBlocks, int kCluster>
__device__ void produce(const ProductArgs& args, Ring<kColBlocks, kCluster> ring, unsigned rank) {
  const int step = static_cast<int>(gridDim.x) / kCluster;
  for (int index = static_cast<int>(blockIdx.x) / kCluster; index < args.tiles; index += step) {
    const Tile tile = tile_of<kColBlocks, kCluster>(args, index, rank);
    const ProductOutput& output = *tile.output;
    // A tile past the last row computes the last one again and writes nothing.
    const long long row_block = min(tile.row_tile, args.row_tiles - 1) * kRowBlocks;
    const int blocks = min(kColBlocks, output.col_blocks - tile.first_block);
    for (int t = output.first_term; t < output.first_term + output.terms; ++t) {
      const ProductTerm& term = args.terms[t];
      const long long a_row = static_cast<long long>(term.depth_blocks) * kBlockBytes;
      const unsigned char* a = term.a + row_block * a_row;
      // From one block of b to the next along the columns, and along the depth.
      const long long b_next = kDepthRows ? kBlockBytes : a_row;
      const long long b_deeper =
          kDepthRows ? static_cast<long long>(output.col_blocks) * kBlockBytes : kBlockBytes;
      const unsigned char* b = term.b + tile.first_block * b_next;
      for (int k = 0; k < term.depth_blocks; ++k) {
        std::uint64_t* full = ring.full(ring.stage);
        barrier_wait(ring.empty(ring.stage), ring.phase ^ 1);
        barrier_expect(full, static_cast<unsigned>((kRowBlocks + blocks) * kBlockBytes));
        bulk_copy(ring.a(), a, kBlockBytes, full);
        bulk_copy(ring.a() + kBlockBytes, a + a_row, kBlockBytes, full);
        for (int i = 0; i < blocks; ++i) {
          unsigned char* to = ring.b() + i * kBlockBytes;
          const unsigned char* from = b + i * b_next;
          if constexpr (kCluster == 1) {
            bulk_copy(to, from, kBlockBytes, full);
          } else if (i % kCluster == static_cast<int>(rank)) {
            bulk_copy_to_all(to, from, kBlockBytes, full, (1 << kCluster) - 1);
          }
        }
        a += kBlockBytes;
        b += b_deeper;
        ring.next();
      }
    }
  }
}

/// Writes a lane's sums: rows `row` and `row + 8`, two columns in eight.
template <int kSums>
__device__ void write_sums(const ProductArgs& args, const Tile& tile, const float (&sums)[kSums]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int row = tile.row_tile * kTileRows128 + warp * 16 + lane / 4;
  const int col = tile.first_block * kBlock + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < kSums; i += 4) {
    write_pair(*tile.output, args.rows, row, col + i * 2, sums[i], sums[i + 1]);
    write_pair(*tile.output, args.rows, row + 8, col + i * 2, sums[i + 2], sums[i + 3]);
  }
}

template <bool kDepthRows, int kColBlocks, int kCluster>
__device__ void consume(const ProductArgs& args, Ring<kColBlocks, kCluster> ring, unsigned rank) {
  constexpr int kSums = kColBlocks * 32;
  constexpr std::uint64_t kDeeper = kDepthRows ? 128 : 2;  // 16 numbers of depth, of b
  const int group = static_cast<int>(threadIdx.x) / 128;
  const bool first_lane = threadIdx.x % 32 == 0;
  const int step = static_cast<int>(gridDim.x) / kCluster;
  for (int index = static_cast<int>(blockIdx.x) / kCluster; index < args.tiles; index += step) {
    const Tile tile = tile_of<kColBlocks, kCluster>(args, index, rank);
    int depth = 0;
    for (int t = 0; t < tile.output->terms; ++t)
      depth += args.terms[tile.output->first_term + t].depth_blocks;
    float sums[kSums];
    int before = 0;  // the stage of the products that may still be under way
    for (int k = 0; k < depth; ++k) {
      barrier_wait(ring.full(ring.stage), ring.phase);
      const std::uint64_t a = tile_descriptor<128>(ring.a() + group * kBlockBytes);
      const std::uint64_t b =
          kDepthRows ? depth_rows_descriptor(ring.b()) : tile_descriptor<128>(ring.b());
      wgmma_begin();
#pragma unroll
      for (int i = 0; i < kBlock / 16; ++i)
        wgmma_blocks<kDepthRows>(sums, a + 2 * i, b + kDeeper * i, k > 0 || i > 0);
      wgmma_commit();
      if (k > 0) {
        wgmma_wait<1>();
        if (first_lane) ring.release(before);
      }
      before = ring.stage;
      ring.next();
    }
    wgmma_wait<0>();
    if (first_lane) ring.release(before);
    write_sums(args, tile, sums);
  }
}

#endif  // BOBBY_WGMMA

template <bool kDepthRows, int kColBlocks, int kCluster>
__global__ void __launch_bounds__(kThreads, 1)
    product_kernel(const __grid_constant__ ProductArgs args) {
#ifdef BOBBY_WGMMA
  unsigned char* memory = dynamic_shared();
  Ring<kColBlocks, kCluster> ring{memory + (1024 - shared_address(memory) % 1024) % 1024};
  const unsigned rank = kCluster == 1 ? 0 : cluster_rank();
  allow_next();
  if (threadIdx.x == 0) ring.init();
  __syncthreads();
  if constexpr (kCluster > 1) cluster_sync();
  begin();
  if (threadIdx.x >= kConsumerWarps * 32) {
    shrink_registers<kProducerRegisters>();
    if (threadIdx.x == kConsumerWarps * 32)
      produce<kDepthRows, kColBlocks, kCluster>(args, ring, rank);
  } else {
    grow_registers<kConsumerRegisters>();
    consume<kDepthRows, kColBlocks, kCluster>(args, ring, rank);
  }
  // Nobody leaves while another may still write to it.
  if constexpr (kCluster > 1) cluster_sync();
#endif
}

template <bool kDepthRows, int kColBlocks, int kCluster>
void launch_product(ProductArgs args, cudaStream_t stream) {
  using Shape = RingShape<kColBlocks>;
  static const bool prepared = [] {
    cudaFuncSetAttribute(product_kernel<kDepthRows, kColBlocks, kCluster>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::kBytes);
    return true;
  }();
  static_cast<void>(prepared);
  args.row_tiles = (args.rows + kTileRows128 - 1) / kTileRows128;
  int column_tiles = 0;
  for (int i = 0; i < args.output_count; ++i) {
    args.outputs[i].tiles_before = column_tiles;
    column_tiles += (args.outputs[i].col_blocks + kColBlocks - 1) / kColBlocks;
  }
  args.tiles = column_tiles * ((args.row_tiles + kCluster - 1) / kCluster);
  const int clusters = std::min(args.tiles, multiprocessors() / kCluster);

  ++launches();
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = kCluster;
  attributes[1].val.clusterDim.y = 1;
  attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(clusters * kCluster));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = Shape::kBytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = kCluster == 1 ? 1 : 2;
  cudaLaunchKernelEx(&config, product_kernel<kDepthRows, kColBlocks, kCluster>, args);
}

template <bool kDepthRows>
void launch_widest(const ProductArgs& args, cudaStream_t stream) {
  // Wide tiles where they keep most multiprocessors busy: they need the fewest bytes a product.
  const auto tiles_of = [&](int col_blocks) {
    int tiles = 0;
    for (int i = 0; i < args.output_count; ++i)
      tiles += (args.outputs[i].col_blocks + col_blocks - 1) / col_blocks;
    return tiles * ((args.rows + kTileRows128 - 1) / kTileRows128);
  };
  const int enough = multiprocessors() * 3 / 4;
  if (args.rows <= kTileRows128) {
    if (tiles_of(2) >= enough) return launch_product<kDepthRows, 2, 1>(args, stream);
    return launch_product<kDepthRows, 1, 1>(args, stream);
  }
  if (tiles_of(4) >= enough) return launch_product<kDepthRows, 4, 2>(args, stream);
  if (tiles_of(2) >= enough) return launch_product<kDepthRows, 2, 2>(args, stream);
  launch_product<kDepthRows, 1, 1>(args, stream);
}

}  // namespace

void product_on_warpgroups(ProductArgs args, cudaStream_t stream) {
  if (args.depth_rows) return launch_widest<true>(args, stream);
  launch_widest<false>(args, stream);
}

}  // namespace bobby::cuda
