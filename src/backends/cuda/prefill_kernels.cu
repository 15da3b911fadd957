// Rows of prompts: x in halves, levels as halves, fp32 sums of a group and then of the groups in
// order. A nibble masked out of a word is a subnormal half, an exact multiple of 2^-24 or 2^-20.
// Biases meet the groups' sums of x as a product of their own, once every 16 groups.

#include <algorithm>
#include <type_traits>

#include "backends/cuda/adapted_outputs.cuh"
#include "backends/cuda/batch_kernels.h"
#include "backends/cuda/ring.cuh"

namespace bobby::cuda {
namespace {

constexpr int kColumns = kHalfTileRows;
constexpr int kX = kColumns * 128;
constexpr int kWeights = kRingTiles * kTileRecordBytes;
constexpr int kStageGroups = 2;
constexpr int kStages = 5;
[[maybe_unused]] constexpr int kConsumerRegisters = 232;
[[maybe_unused]] constexpr int kProducerRegisters = 40;
constexpr int kStage = (kStageGroups * (kX + kWeights) + 1023) / 1024 * 1024;
constexpr int kBytes = 1024 + kStages * kStage;
[[maybe_unused]] constexpr int kSums = kColumns / 2;

struct NoDeltas {};

template <bool kAdapted>
struct PrefillArgs {
  Matrices matrices;
  HalfTiles x;
  int rows = 0;
  int x_tiles = 0;  ///< of 128 rows
  int units = 0;    ///< x_tiles for each eight tiles of weights
  std::conditional_t<kAdapted, InnerDeltas, NoDeltas> deltas;
};

#ifdef BOBBY_WGMMA

// A stage: x of its groups, then their weights tile by tile; or a tile of sums of x.
constexpr int kWeightsAt = kStageGroups * kX;

/// One of the producing threads.
template <typename Args>
__device__ void produce(const Args& args, int producer, unsigned char* ring,
                        RingBarriers<kStages>& barriers) {
  const int groups = args.matrices.cols / kTileGroup;
  RingPlace<kStages> place;
  begin();
  for (int unit = static_cast<int>(blockIdx.x); unit < args.units;
       unit += static_cast<int>(gridDim.x)) {
    const int first_tile = unit / args.x_tiles * kRingTiles;
    const long long x_tile = unit % args.x_tiles;
    const int tiles = min(kRingTiles, args.matrices.tiles - first_tile);
    const unsigned char* above = tile_records(args.matrices, first_tile + producer * 2);
    const unsigned char* below = tile_records(args.matrices, first_tile + producer * 2 + 1);
    const unsigned char* halves = args.x.halves + x_tile * groups * kX;
    const unsigned char* sums =
        args.x.sums + x_tile * ((groups + kSumGroups - 1) / kSumGroups) * kX;
    for (int first = 0; first < groups; first += kStageGroups) {
      const int count = min(kStageGroups, groups - first);
      unsigned char* to = ring + place.stage * kStage;
      std::uint64_t* full = &barriers.full[place.stage];
      barrier_wait(&barriers.empty[place.stage], place.phase ^ 1);
      if (producer == 0)
        barrier_expect(full, static_cast<unsigned>(count * (kX + tiles * kTileRecordBytes)));
      const auto bytes = static_cast<unsigned>(count * kTileRecordBytes);
      unsigned char* records = to + kWeightsAt + producer * 2 * kStageGroups * kTileRecordBytes;
      if (above) bulk_copy(records, above + first * kTileRecordBytes, bytes, full);
      if (below)
        bulk_copy(records + kStageGroups * kTileRecordBytes, below + first * kTileRecordBytes,
                  bytes, full);
      if (producer == 1)
        bulk_copy(to, halves + static_cast<long long>(first) * kX,
                  static_cast<unsigned>(count * kX), full);
      place.next();
      if ((first + count) % kSumGroups != 0 && first + count < groups) continue;
      full = &barriers.full[place.stage];
      barrier_wait(&barriers.empty[place.stage], place.phase ^ 1);
      if (producer == 0) {
        barrier_expect(full, kX);
        bulk_copy(ring + place.stage * kStage,
                  sums + static_cast<long long>(first / kSumGroups) * kX, kX, full);
      }
      place.next();
    }
  }
}

/// Four fragments of 16 columns: a word's nibbles 0 and 4, 1 and 5, 2 and 6, 3 and 7 are pairs.
struct HalfLevels {
  unsigned fragment[4][4];
  __device__ explicit HalfLevels(uint4 words) {
    take(words.x, words.y, 0);
    take(words.z, words.w, 2);
  }
  __device__ void take(unsigned above, unsigned below, int at) {
    constexpr unsigned kEven = 0x000f000fu;
    constexpr unsigned kOdd = 0x00f000f0u;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      fragment[at + i][0] = (above >> (8 * i)) & kEven;
      fragment[at + i][1] = (below >> (8 * i)) & kEven;
      fragment[at + i][2] = (above >> (8 * i)) & kOdd;
      fragment[at + i][3] = (below >> (8 * i)) & kOdd;
    }
  }
};

/// What a lane takes from a stage beside x itself.
struct Group {
  uint4 words;
  uint2 pair;

  /// Of group `i` of a stage.
  __device__ void load(const unsigned char* stage, int i, int warp, int lane) {
    const unsigned char* record = stage + kWeightsAt + (warp * kStageGroups + i) * kTileRecordBytes;
    words = reinterpret_cast<const uint4*>(record)[lane];
    pair = reinterpret_cast<const uint2*>(record + kTileLevelBytes)[lane / 4];
  }
};

/// The biases of 16 groups as a fragment: rows quad and quad + 8, groups 2 t, 2 t + 1 and 8 more.
struct Biases {
  unsigned fragment[4] = {};

  __device__ void take(uint2 pair, int group, int t) {
    const int place = group / 2 - t;
    const int shift = group % 2 * 16;
    const unsigned above = (pair.x >> 16) << shift;
    const unsigned below = (pair.y >> 16) << shift;
    fragment[0] |= place == 0 ? above : 0;
    fragment[1] |= place == 0 ? below : 0;
    fragment[2] |= place == 4 ? above : 0;
    fragment[3] |= place == 4 ? below : 0;
  }
};

/// The products of a group were of levels * 2^-24; sums are kept times kSumScale.
template <Element Type>
__device__ void add_products(const float (&products)[kSums], uint2 pair, float (&sums)[kSums]) {
  const float above = scale_and_bias<Type>(pair.x).x * (0x1p24f * kSumScale);
  const float below = scale_and_bias<Type>(pair.y).x * (0x1p24f * kSumScale);
#pragma unroll
  for (int j = 0; j < kSums; j += 4) {
    sums[j] = fmaf(above, products[j], sums[j]);
    sums[j + 1] = fmaf(above, products[j + 1], sums[j + 1]);
    sums[j + 2] = fmaf(below, products[j + 2], sums[j + 2]);
    sums[j + 3] = fmaf(below, products[j + 3], sums[j + 3]);
  }
}

/// Up to 16 groups and their biases. The next group is loaded while this one's products are under
/// way.
template <Element Type>
__device__ void add_groups(const unsigned char* ring, RingBarriers<kStages>& barriers,
                           RingPlace<kStages>& place, int count, float (&sums)[kSums]) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  Biases biases;
  Group group;
  barrier_wait(&barriers.full[place.stage], place.phase);
  group.load(ring + place.stage * kStage, 0, warp, lane);
  for (int i = 0; i < count; ++i) {
    const HalfLevels levels(group.words);
    const uint2 pair = group.pair;
    const int in_stage = i % kStageGroups;
    const std::uint64_t x = tile_descriptor<128>(ring + place.stage * kStage + in_stage * kX);
    float products[kSums];
    wgmma_begin();
#pragma unroll
    for (int k = 0; k < 4; ++k) wgmma_f16(products, levels.fragment[k], x + 2 * k, k > 0);
    wgmma_commit();
    biases.take(pair, i, lane % 4);
    std::uint64_t* done = nullptr;
    if (in_stage == kStageGroups - 1 || i + 1 == count) {
      done = &barriers.empty[place.stage];
      place.next();
      barrier_wait(&barriers.full[place.stage], place.phase);
    }
    if (i + 1 < count) group.load(ring + place.stage * kStage, (i + 1) % kStageGroups, warp, lane);
    wgmma_wait<0>();
    add_products<Type>(products, pair, sums);
    __syncwarp();
    if (done && lane == 0) barrier_arrive(done);
  }
  // Where the ring stands now is the tile of sums.
  const std::uint64_t x = tile_descriptor<128>(ring + place.stage * kStage);
  wgmma_begin();
#pragma unroll
  for (int piece = 0; piece < 3; ++piece) {
    if constexpr (Type == Element::kBF16)
      wgmma_bf16(sums, biases.fragment, x + 2 * piece, 1);
    else
      wgmma_f16(sums, biases.fragment, x + 2 * piece, 1);
  }
  wgmma_commit();
  wgmma_wait<0>();
  __syncwarp();
  if (lane == 0) barrier_arrive(&barriers.empty[place.stage]);
  place.next();
}

/// A lane's sums as the outputs that they are of.
template <typename Args>
__device__ void scale_sums(const Args& args, int first, float (&sums)[kSums]) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int j = 0; j < kColumns / 8; ++j)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = min(first + j * 8 + t * 2 + i, args.rows - 1);
      const float factor = args.x.factors[row] * (1.0f / kSumScale);
      sums[j * 4 + i] *= factor;
      sums[j * 4 + i + 2] *= factor;
    }
}

/// Deltas that need the product alone, after it has been written.
template <typename Args>
__device__ void finish_all(const Args& args, const Matrix& matrix, int o, int first) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll 1
  for (int i = 0; i < kColumns / 4; ++i) {
    const int row = first + i / 2 * 8 + t * 2 + i % 2;
    if (row >= args.rows) continue;
    const int own = static_cast<int>(&matrix - args.matrices.each);
    float* at = matrix.out + static_cast<long long>(row) * matrix.rows + o;
    finish_output<false>(args.deltas, own, row, o, at);
    finish_output<false>(args.deltas, own, row, o + 8, at + 8);
  }
}

template <Element Type, bool kAdapted>
__device__ void consume(const PrefillArgs<kAdapted>& args, const unsigned char* ring,
                        RingBarriers<kStages>& barriers) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int groups = args.matrices.cols / kTileGroup;
  RingPlace<kStages> place;
  for (int unit = static_cast<int>(blockIdx.x); unit < args.units;
       unit += static_cast<int>(gridDim.x)) {
    float sums[kSums];
#pragma unroll
    for (float& sum : sums) sum = 0.0f;
    for (int group = 0; group < groups; group += kSumGroups)
      add_groups<Type>(ring, barriers, place, min(kSumGroups, groups - group), sums);
    const int tile = unit / args.x_tiles * kRingTiles + warp;
    if (tile >= args.matrices.tiles) continue;
    const Matrix& matrix = matrix_of(args.matrices, tile);
    const int first = unit % args.x_tiles * kColumns;
    const int o = (tile - matrix.tiles_before) * kTileRows + lane / 4;
    float* out = matrix.out + o;
    if constexpr (kAdapted) {
      scale_sums(args, first, sums);
      const int own = static_cast<int>(&matrix - args.matrices.each);
      if (!args.deltas.multiplied)
#pragma unroll 1
        for (int i = args.deltas.first[own]; i < args.deltas.first[own + 1]; ++i)
          add_entry<false>(args.deltas.entries[i], args.deltas.ax, o, first, sums);
    }
#pragma unroll
    for (int j = 0; j < kColumns / 8; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int row = first + j * 8 + lane % 4 * 2 + i;
        if (row >= args.rows) continue;
        const float factor = kAdapted ? 1.0f : args.x.factors[row] * (1.0f / kSumScale);
        float* at = out + static_cast<long long>(row) * matrix.rows;
        at[0] = sums[j * 4 + i] * factor;
        at[8] = sums[j * 4 + i + 2] * factor;
      }
    if constexpr (kAdapted)
      if (args.deltas.multiplied) finish_all(args, matrix, o, first);
  }
}

#endif  // BOBBY_WGMMA

template <Element Type, bool kAdapted>
__global__ void __launch_bounds__(kRingThreads, 1)
    prefill_kernel(const __grid_constant__ PrefillArgs<kAdapted> args) {
#ifdef BOBBY_WGMMA
  extern __shared__ unsigned char memory[];
  __shared__ RingBarriers<kStages> barriers;
  unsigned char* ring = memory + (1024 - shared_address(memory) % 1024) % 1024;
  allow_next();
  if (threadIdx.x == 0) barriers.init();
  __syncthreads();
  const int producer = static_cast<int>(threadIdx.x) / 32 - kRingWarps;
  if (producer >= 0) {
    shrink_registers<kProducerRegisters>();
    if (threadIdx.x % 32 == 0) produce(args, producer, ring, barriers);
  } else {
    grow_registers<kConsumerRegisters>();
    begin();
    consume<Type, kAdapted>(args, ring, barriers);
  }
#endif
}

template <Element Type, bool kAdapted>
void launch_prefill(const Matrices& matrices, HalfTiles x, int rows, const InnerDeltas* deltas,
                    cudaStream_t stream) {
  static const int multiprocessors = [] {
    int device = 0;
    int count = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
    cudaFuncSetAttribute(prefill_kernel<Type, kAdapted>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
    return count;
  }();
  const int x_tiles = (rows + kColumns - 1) / kColumns;
  PrefillArgs<kAdapted> args{.matrices = matrices,
                             .x = x,
                             .rows = rows,
                             .x_tiles = x_tiles,
                             .units = (matrices.tiles + kRingTiles - 1) / kRingTiles * x_tiles,
                             .deltas = {}};
  if constexpr (kAdapted) args.deltas = *deltas;
  launch(prefill_kernel<Type, kAdapted>,
         dim3(static_cast<unsigned>(std::min(args.units, multiprocessors))), kRingThreads, kBytes,
         stream, args);
}

template <Element Type>
void prefill_product_of(const Matrices& matrices, HalfTiles x, int rows, const InnerDeltas* deltas,
                        cudaStream_t stream) {
  if (deltas) return launch_prefill<Type, true>(matrices, x, rows, deltas, stream);
  launch_prefill<Type, false>(matrices, x, rows, deltas, stream);
}

template <Element Type>
void load_kernels() {
  load_kernel(prefill_kernel<Type, false>);
  load_kernel(prefill_kernel<Type, true>);
}

}  // namespace

void load_prefill_kernels(Element element) {
  if (element == Element::kBF16) return load_kernels<Element::kBF16>();
  load_kernels<Element::kF16>();
}

void prefill_product(const Matrices& matrices, HalfTiles x, int rows, const InnerDeltas* deltas,
                     cudaStream_t stream) {
  if (matrices.element == Element::kBF16)
    return prefill_product_of<Element::kBF16>(matrices, x, rows, deltas, stream);
  prefill_product_of<Element::kF16>(matrices, x, rows, deltas, stream);
}

}  // namespace bobby::cuda
