// A whole decode step as one kernel: every block streams its share of all weights through a ring of
// shared memory, in the order of use, whatever the computing warps wait for. See docs/adr/0010.

#include <algorithm>

#include "backends/cuda/step_adapters.cuh"
#include "backends/cuda/step_attention.cuh"
#include "backends/cuda/step_product.cuh"
#include "backends/cuda/step_stage.cuh"
#include "backends/cuda/step_writer.cuh"
#include "backends/cuda/tiled_kernels.h"

namespace bobby::cuda {
namespace {

// --- the stream ------------------------------------------------------------------------------

/// Stretch `stretch` of a tile: a slot.
__device__ void write_slot(RingWriter& writer, const unsigned char* tiles, int tile, int stretch,
                           int groups) {
  const unsigned char* from = tiles + static_cast<long long>(tile) * groups * kTileRecordBytes;
  for (int i = 0; i < 4; ++i) {
    const int group = (stretch * 4 + i) * kQuarterGroups;
    writer.put(from + group * kTileRecordBytes,
               max(0, min(kQuarterGroups, groups - group)) * kTileRecordBytes);
  }
}

__device__ void write_product(RingWriter& writer, const StepArgs& args, const StepLinear& linear,
                              int product, int worker) {
  const Share share = share_of(args, product, worker);
  const int groups = product_cols(args, product) / kTileGroup;
  const int stretches = stretches_of(groups);
  const int end = share.begin + share.count;
  for (int first = share.begin; first < end; first += kChunkTiles)
    for (int stretch = 0; stretch < stretches; ++stretch)
      for (int tile = first; tile < min(first + kChunkTiles, end); ++tile) {
        const TilePlace place = place_of(args, product, tile);
        write_slot(writer, linear.tiles[place.matrix], place.row / kTileRows, stretch, groups);
      }
}

[[maybe_unused]] __device__ void write_weights(const StepArgs& args, const Ring& ring,
                                               const int* multiplies, int worker) {
  RingWriter writer(ring, multiplies, args.many_copies, args.few_copies);
  for (int layer = 0; layer < args.layer_count; ++layer)
    for (int product = 0; product < kStepProducts; ++product) {
      const StepLayer& weights = args.layers[layer];
      KvLayer kv = args.kv;
      kv.data = weights.kv;
      if (product == kStepO)
        each_unit(args, worker, [&](const HeadUnit& unit) { write_unit(writer, args, kv, unit); });
      write_product(writer, args, weights.products[product], product, worker);
    }
  write_product(writer, args, args.head, kStepHead, worker);
}

// --- the readers -------------------------------------------------------------------------------

template <int Rows, Element Type, KvFormat Format>
class Reader {
 public:
  __device__ explicit Reader(const StepArgs& args) : args_(args) {}

  __device__ void run() {
    fetch_layer(0);
    find_angles();
    meet(kAllReaders, kReaders);
    each_product(args_, [&](int layer, int product) {
      if (product == kStepO) {
        bool again = false;
        each_unit(args_, block_.worker(), [&](const HeadUnit& unit) {
          if (again) meet(kAllReaders, kReaders);  // the last one is merged
          again = true;
          attend_unit<Rows, Format>(args_, cursor_, layer, unit);
        });
        fetch_layer(layer + 1);
      }
      multiply(layer, product);
    });
  }

 private:
  __device__ void find_angles() {
    for (int i = block_.thread(); i < args_.rows * (kHeadDim / 2); i += kReaders) {
      const int r = i / (kHeadDim / 2);
      const float angle =
          static_cast<float>(args_.positions[r]) * args_.inv_freq[i % (kHeadDim / 2)];
      double sine, cosine;
      sincos(static_cast<double>(angle), &sine, &cosine);
      block_.shared().angles[r][i % (kHeadDim / 2)] =
          make_float2(static_cast<float>(cosine), static_cast<float>(sine));
    }
  }

  /// A layer's pointers into shared memory, by the last warp, well before they are needed.
  __device__ void fetch_layer(int layer) {
    if (block_.thread() != kReaders - 32 || layer >= args_.layer_count) return;
    const StepLayer& from = args_.layers[layer];
    block_.shared().layers[layer % 2] = {from.input_norm, from.post_norm, from.q_norm, from.k_norm,
                                         from.kv};
  }

  __device__ const float* norm_of(int layer, int product) const {
    return product == kStepQkv      ? block_.shared().layers[layer % 2].input_norm
           : product == kStepGateUp ? block_.shared().layers[layer % 2].post_norm
           : product == kStepHead   ? args_.final_norm
                                    : nullptr;
  }

  __device__ void multiply(int layer, int product) {
    const float* norm = norm_of(layer, product);
    const float* from = source_of(args_, product);
    const int cols = product_cols(args_, product);
    const int groups = cols / kTileGroup;
    const int stretches = stretches_of(groups);
    if (norm) {
      const Block<Rows> block;
      OwnColumns weight;
      weight.load(norm, 0, cols, block.warp(), block.lane());
      stage_norm<Rows, Type>(block, args_, from, layer == 0 && product == kStepQkv, weight);
    } else {
      stage_plain(Block<Rows>(), args_, from, cols, stretches);
    }
    volatile int* multiplies = &block_.shared().multiplies;
    if (block_.thread() == 0) *multiplies = 1;
    multiply_chunks(product, groups, stretches);
    if (block_.thread() == 0) *multiplies = 0;
  }

  __device__ __forceinline__ void multiply_chunks(int product, int groups, int stretches) {
    const Block<Rows> block;
    const XPlace<Rows> x(block, args_);
    HeldX held;
    held.load(x, 0, groups, block.warp());
    const int tiles = block.shared().shares[product].y;
#pragma unroll 1
    for (int first = 0; first < tiles; first += kChunkTiles) {
      if (first + 1 < tiles)
        multiply_chunk<2>(block, groups, stretches, x, held);
      else
        multiply_chunk<1>(block, groups, stretches, x, held);
    }
  }

  template <int Tiles>
  __device__ __forceinline__ void multiply_chunk(const Block<Rows>& block, int groups,
                                                 int stretches, const XPlace<Rows>& x,
                                                 HeldX& held) {
    ChunkSums<Tiles> sums;
#pragma unroll 1
    for (int stretch = 0; stretch < stretches; ++stretch) {
      const int first = stretch * kStretchGroups;
      if (stretches > 1) held.load(x, first, groups, block.warp());
      multiply_slots<Rows, Type, Tiles>(block, args_, first, groups, x, held, cursor_, sums);
    }
    auto& shared = block.shared();
    wait_phase(shared_address(&shared.parts_free[parts_.buffer]), parts_.phase ^ 1);
    put_parts(shared.parts[parts_.buffer][block.warp()], block.lane(), sums);
    __syncwarp();
    if (block.lane() == 0) arrive_at(&shared.parts_full[parts_.buffer]);
    parts_.next();
  }

  const StepArgs& args_;
  Block<Rows> block_;
  Cursor cursor_;
  Turn parts_;
};

template <int Rows, Element Type, KvFormat Format>
__global__ void __launch_bounds__(kStepThreads, 1)
    step_kernel(const __grid_constant__ StepArgs args) {
#if __CUDA_ARCH__ >= 900
  const Block<Rows> block;
  if (threadIdx.x == 0) block.init(args);
  const int spare = block.worker() - args.workers;
  if (threadIdx.x <= kStepHead && spare < 0) {
    const Share share = share_of(args, static_cast<int>(threadIdx.x), block.worker());
    block.shared().shares[threadIdx.x] = make_int2(share.begin, share.count);
  }
  __syncthreads();
  if (spare >= 0) {
    if (!args.adapters.dots_begin) return;
    if (block.warp() < kReaderWarps) return DotReader<Rows, Type>(args).run();
    if (threadIdx.x == kReaders)
      write_dots(args, block.ring(args), &block.shared().multiplies, spare);
    return;
  }
  switch (block.warp()) {
    case kRingWarp:
      if (block.lane() == 0)
        write_weights(args, block.ring(args), &block.shared().multiplies, block.worker());
      return;
    case kWriterWarp: return Writer<Rows, Type>(args).run();
    case kAdapterWarp:
      if (args.adapters.dots_begin) AdapterWarp<Rows>(args).run();
      return;
    default: return Reader<Rows, Type, Format>(args).run();
  }
#endif
}

using StepKernel = void (*)(StepArgs);

template <int Rows>
StepKernel kernel_of(Element element, KvFormat format) {
  if (element == Element::kF16)
    return format == KvFormat::kF16 ? step_kernel<Rows, Element::kF16, KvFormat::kF16>
                                    : step_kernel<Rows, Element::kF16, KvFormat::kInt8>;
  return format == KvFormat::kF16 ? step_kernel<Rows, Element::kBF16, KvFormat::kF16>
                                  : step_kernel<Rows, Element::kBF16, KvFormat::kInt8>;
}

StepKernel kernel_of(int rows, Element element, KvFormat format) {
  if (rows == 1) return kernel_of<1>(element, format);
  return rows == 2 ? kernel_of<2>(element, format) : kernel_of<4>(element, format);
}

}  // namespace

std::size_t place_step(StepArgs& args, std::size_t limit) {
  const std::size_t capacity = args.rows <= 2 ? static_cast<std::size_t>(args.rows) : kStepRows;
  const std::size_t shared = capacity == 1   ? sizeof(StepShared<1>)
                             : capacity == 2 ? sizeof(StepShared<2>)
                                             : sizeof(StepShared<4>);
  args.x_groups = std::max({args.hidden, args.heads * kHeadDim, args.intermediate}) / kTileGroup;
  const auto groups = static_cast<std::size_t>(args.x_groups);
  const auto aligned = [](std::size_t bytes) { return (bytes + 127) / 128 * 128; };
  const std::size_t scales = aligned(shared) + capacity * groups * 128;
  const std::size_t own_x = aligned(scales + capacity * (groups + 1) * 8);
  const std::size_t ring =
      aligned(own_x + capacity * static_cast<std::size_t>(args.own_columns) * 4);
  args.x_scales_at = static_cast<int>(scales);
  args.own_x_at = static_cast<int>(own_x);
  args.ring_at = static_cast<int>(ring);
  if (ring >= limit) return 0;
  args.slots = static_cast<int>(std::min<std::size_t>((limit - ring) / kSlotBytes, kStepSlots));
  return args.slots < kChunkTiles ? 0 : ring + static_cast<std::size_t>(args.slots) * kSlotBytes;
}

bool can_run_step(const StepArgs& args, Element element, std::size_t shared_bytes,
                  std::size_t limit) {
  const StepKernel kernel = kernel_of(args.rows, element, args.kv.format);
  int blocks = 0;
  // The most that there is: other forms of step may run with the same kernel.
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(limit)) == cudaSuccess &&
         cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kStepThreads,
                                                       shared_bytes) == cudaSuccess &&
         blocks == 1;
}

cudaError_t run_step(const StepArgs& args, Element element, std::size_t shared_bytes,
                     cudaStream_t stream) {
  const StepKernel kernel = kernel_of(args.rows, element, args.kv.format);
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(args.workers + args.spares));
  config.blockDim = dim3(kStepThreads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  ++launches();
  return cudaLaunchKernelEx(&config, kernel, args);
}

}  // namespace bobby::cuda
