// A whole decode step as one kernel: every block streams its share of all weights through a ring of
// shared memory, in the order of use, whatever the computing warps wait for. See docs/adr/0010.

#include <algorithm>

#include "backends/cuda/step_attention.cuh"
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
                              int product, int worker, int chunk) {
  const Share share = share_of(args, product, worker);
  const int groups = product_cols(args, product) / kTileGroup;
  const int stretches = (groups + 4 * kQuarterGroups - 1) / (4 * kQuarterGroups);
  const int end = share.begin + share.count;
  for (int first = share.begin; first < end; first += chunk)
    for (int stretch = 0; stretch < stretches; ++stretch)
      for (int tile = first; tile < min(first + chunk, end); ++tile) {
        const TilePlace place = place_of(args, product, tile);
        write_slot(writer, linear.tiles[place.matrix], place.row / kTileRows, stretch, groups);
      }
}

[[maybe_unused]] __device__ void write_weights(const StepArgs& args, const Ring& ring, int worker,
                                               int chunk) {
  RingWriter writer(ring, args.in_flight);
  for (int layer = 0; layer < args.layer_count; ++layer)
    for (int product = 0; product < kStepProducts; ++product) {
      const StepLayer& weights = args.layers[layer];
      KvLayer kv = args.kv;
      kv.data = weights.kv;
      if (product == kStepO)
        each_unit(args, worker, [&](const HeadUnit& unit) { write_unit(writer, args, kv, unit); });
      write_product(writer, args, weights.products[product], product, worker, chunk);
    }
  write_product(writer, args, args.head, kStepHead, worker, chunk);
}

// --- a block that multiplies -----------------------------------------------------------------

template <int Rows, Element Type, KvFormat Format>
struct Worker {
  static constexpr int kTileOutputs = kTileRows * Rows;

  const StepArgs& args;
  Block<Rows> block;
  Cursor cursor;
  int parity = 0;

  __device__ Worker(const StepArgs& a, const Block<Rows>& b) : args(a), block(b) {}

  /// The first of this block's columns of the residual stream.
  __device__ int first_column() const { return block.shared().shares[kStepO].x * kTileRows; }

  __device__ unsigned* counter(int i) const { return args.counters + i * StepCounters::kStride; }

  /// This block's columns of the embedding.
  __device__ void embed() {
    const int columns = block.shared().shares[kStepO].y * kTileRows;
    const int tid = block.thread();
    for (int i = tid; i < columns * args.rows; i += kReaders) {
      const int r = i / columns;
      const int column = first_column() + i % columns;
      const float value = tiled_number<Type>(args.table, args.hidden, args.tokens[r], column);
      block.own_x(args)[r * args.own_columns + i % columns] = value;
      __stcg(args.x + r * args.hidden + column, value);
    }
    meet(kAllReaders, kReaders);
    if (tid == 0) arrive(counter(StepCounters::kX), 1);
    for (int i = tid; i < args.rows * (kHeadDim / 2); i += kReaders) {
      const int r = i / (kHeadDim / 2);
      const float angle = static_cast<float>(args.positions[r]) * args.inv_freq[i % (kHeadDim / 2)];
      double sine, cosine;
      sincos(static_cast<double>(angle), &sine, &cosine);
      block.shared().angles[r][i % (kHeadDim / 2)] =
          make_float2(static_cast<float>(cosine), static_cast<float>(sine));
    }
  }

  /// A layer's pointers into shared memory, by the last warp, well before they are needed.
  __device__ void fetch_layer(int layer) {
    if (block.warp() + 1 != kTileParts || layer >= args.layer_count) return;
    if (block.lane() != 0) return;
    const StepLayer& from = args.layers[layer];
    block.shared().layers[layer % 2] = {from.input_norm, from.post_norm, from.q_norm, from.k_norm,
                                        from.kv};
  }

  __device__ void wait(int layer, int product) {
    if (block.thread() == 0) {
      wait_for_x(args, layer, product);
      volatile int* started = &block.shared().started;
      *started = *started + 1;
    }
    meet(kAllReaders, kReaders);
  }

  __device__ const float* norm_of(int layer, int product) const {
    return product == kStepQkv      ? block.shared().layers[layer % 2].input_norm
           : product == kStepGateUp ? block.shared().layers[layer % 2].post_norm
           : product == kStepHead   ? args.final_norm
                                    : nullptr;
  }

  /// One output. `up`: of gate and up, the other.
  __device__ void write(int product, int tile, int row, int r, float sum, float up) {
    const TilePlace place = place_of(args, product, tile);
    const int at = place.row + row;
    switch (product) {
      case kStepQkv: {
        float* out = place.matrix == 0 ? args.q : place.matrix == 1 ? args.k : args.v;
        const int heads = place.matrix == 0 ? args.heads : args.kv_heads;
        return __stcg(out + r * heads * kHeadDim + at, sum);
      }
      case kStepGateUp: return __stcg(args.activation + r * args.intermediate + at, silu(sum) * up);
      case kStepHead: return __stcs(args.logits + static_cast<long long>(r) * args.vocab + at, sum);
      default: {
        float& x = block.own_x(args)[r * args.own_columns + at - first_column()];
        x += sum;
        return __stcg(args.x + r * args.hidden + at, x);
      }
    }
  }

  /// The outputs of a chunk of tiles.
  __device__ void write_chunk(int product, int first, int count, const float* parts,
                              const float* deltas) {
    const bool pairs = product == kStepGateUp;
    const int outputs = (pairs ? count / 2 : count) * kTileOutputs;
    for (int i = block.thread(); i < outputs; i += kReaders) {
      const int r = i % Rows;
      if (r >= args.rows) continue;
      const int tile = i / kTileOutputs * (pairs ? 2 : 1);
      const int at = tile * kTileOutputs + i % kTileOutputs;
      float sum = sum_parts<Rows>(parts, at);
      float up = pairs ? sum_parts<Rows>(parts, at + kTileOutputs) : 0.0f;
      if (deltas) {
        sum += deltas[at];
        if (pairs) up += deltas[at + kTileOutputs];
      }
      write(product, first + tile, i % kTileOutputs / Rows, r, sum, up);
    }
  }

  __device__ int cache_head(int tile) const {
    const TilePlace place = place_of(args, kStepQkv, tile);
    const int head = place.row / kHeadDim;
    return place.matrix == 0 ? head / (args.heads / args.kv_heads) : head;
  }

  /// Tells the other blocks of a chunk; of products but q|k|v, of the last one only. The threads
  /// that wrote meet before.
  __device__ void tell(int product, int first, int count, bool last) {
    if (product == kStepHead || (product != kStepQkv && !last)) return;
    const int tiles = min(kChunkTiles<Rows>, block.shared().shares[product].y);
    const int outputs = (product == kStepGateUp ? tiles / 2 : tiles) * kTileOutputs;
    const int writers = min(kReaders, (outputs + 31) / 32 * 32);
    if (block.thread() >= writers) return;
    if (writers == 32)
      __syncwarp();
    else
      meet(kWriters, writers);
    if (block.thread() != 0) return;
    if (product != kStepQkv)
      return arrive(counter(product == kStepGateUp ? StepCounters::kActivation : StepCounters::kX),
                    1);
    for (int i = 0; i < count;) {  // once for each head of the cache
      const int head = cache_head(first + i);
      unsigned some = 0;
      for (; i < count && cache_head(first + i) == head; ++i) ++some;
      arrive(counter(StepCounters::kQkv + head), some);
    }
  }

  __device__ void multiply(int layer, int product) {
    const float* norm = norm_of(layer, product);
    const bool adapters = product != kStepHead && has_adapters(args, layer, product);
    const int cols = product_cols(args, product);
    const int groups = cols / kTileGroup;
    const int2 share = block.shared().shares[product];
    float weight[8] = {};
    const int column = column_of(0, block.warp(), block.lane());
    if (norm && column < cols) load_eight(norm + column, weight);
    wait(layer, product);
    const float* from = product == kStepO      ? args.attention
                        : product == kStepDown ? args.activation
                                               : args.x;
    stage(block, args, from, cols, norm != nullptr, weight);
    for (int first = 0; first < share.y; first += kChunkTiles<Rows>) {
      const int count = min(kChunkTiles<Rows>, share.y - first);
      float* parts = block.shared().parts[parity];
      cursor = multiply_tiles<Rows, Type>(
          {shared_address(block.ring(args).data), shared_address(block.ring(args).full),
           shared_address(block.ring(args).empty), shared_address(block.x_bytes()),
           shared_address(block.x_scales(args)), shared_address(parts), block.ring(args).slots,
           groups, count},
          cursor);
      meet(adapters ? kWithAdapters : kAllReaders, adapters ? kReaders + 32 : kReaders);
      write_chunk(product, share.x + first, count, parts,
                  adapters ? block.shared().deltas[parity] : nullptr);
      tell(product, share.x + first, count, first + count == share.y);
      parity ^= 1;
    }
    if (share.y == 0 && block.thread() == 0 && product != kStepQkv && product != kStepHead)
      arrive(counter(product == kStepGateUp ? StepCounters::kActivation : StepCounters::kX), 1);
  }

  __device__ void run() {
    fetch_layer(0);
    embed();
#pragma unroll 1
    for (int i = 0; i <= args.layer_count * kStepProducts; ++i) {
      const int layer = i / kStepProducts;
      const int product = layer == args.layer_count ? kStepHead : i % kStepProducts;
      if (product == kStepO) {
        block = Block<Rows>(-i);
        each_unit(args, block.worker(), [&](const HeadUnit& unit) {
          attend_unit<Rows, Format>(block, args, cursor, layer, unit);
          meet(kAllReaders, kReaders);
        });
        fetch_layer(layer + 1);
      }
      block = Block<Rows>(i + 1);
      multiply(layer, product);
    }
  }
};

template <int Rows, Element Type, KvFormat Format>
__global__ void __launch_bounds__(kStepThreads, 1)
    step_kernel(const __grid_constant__ StepArgs args) {
#if __CUDA_ARCH__ >= 900
  const Block<Rows> block(0);
  const int spare = block.worker() - args.workers;
  if (threadIdx.x == 0) {
    block.ring(args).init();
    block.shared().started = 0;
  }
  if (threadIdx.x <= kStepHead && spare < 0) {
    const Share share = share_of(args, static_cast<int>(threadIdx.x), block.worker());
    block.shared().shares[threadIdx.x] = make_int2(share.begin, share.count);
  }
  __syncthreads();
  if (block.warp() >= kTileParts) {
    if (block.warp() == kTileParts && block.lane() == 0) {
      if (spare < 0) write_weights(args, block.ring(args), block.worker(), kChunkTiles<Rows>);
      if (spare >= 0 && args.adapters.dots_begin) write_dots(args, block.ring(args), spare);
    }
    if (block.warp() == kTileParts + 1 && spare < 0 && args.adapters.dots_begin)
      add_deltas(block, args);
  } else {
    if (spare < 0)
      Worker<Rows, Type, Format>(args, block).run();
    else if (args.adapters.dots_begin)
      multiply_dots(block, args, spare);
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
  const auto groups = static_cast<std::size_t>(
      std::max({args.hidden, args.heads * kHeadDim, args.intermediate}) / kTileGroup);
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
  return args.slots < 2 ? 0 : ring + static_cast<std::size_t>(args.slots) * kSlotBytes;
}

bool can_run_step(int rows, std::size_t shared_bytes) {
  const StepKernel kernel = kernel_of(rows, Element::kBF16, KvFormat::kF16);
  int blocks = 0;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(shared_bytes)) == cudaSuccess &&
         cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kStepThreads,
                                                       shared_bytes) == cudaSuccess &&
         blocks == 1;
}

cudaError_t run_step(const StepArgs& args, Element element, std::size_t shared_bytes,
                     cudaStream_t stream) {
  const StepKernel kernel = kernel_of(args.rows, element, args.kv.format);
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(shared_bytes));
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
