// 9..64 rows of x in q15: 8-bit integer products of warpgroups, sums in the order of tile_order.h.

#include <algorithm>
#include <type_traits>

#include "backends/cuda/batch_cut.cuh"
#include "backends/cuda/batch_dots.cuh"
#include "backends/cuda/batch_kernels.h"
#include "backends/cuda/ring.cuh"

namespace bobby::cuda {
namespace {

constexpr int kStageGroups = kTilePartGroups;
struct NoDeltas {};

template <bool kAdapted>
struct BatchArgs {
  Matrices matrices;
  ByteTiles x;
  Partials partials;
  Cut cut;
  int rows = 0;
  std::conditional_t<kAdapted, BatchDeltas, NoDeltas> deltas;
};

/// Adapted: a warpgroup more, and the other ones' registers for it.
template <int Columns, bool kAdapted = false>
struct Layout {
  static constexpr int kX = kStageGroups * Columns * 128;
  static constexpr int kWeights = kRingTiles * kStageGroups * kTileRecordBytes;
  static constexpr int kScales = kStageGroups * Columns * static_cast<int>(sizeof(float2));
  static constexpr int kStage = (kX + kWeights + kScales + 1023) / 1024 * 1024;
  static constexpr int kStages = Columns == 32 ? 4 : 3;
  static constexpr int kBlocks = Columns == 16 ? 2 : 1;  // a multiprocessor
  [[maybe_unused]] static constexpr int kConsumerRegisters =
      Columns == 16 ? (kAdapted ? 96 : 104) : (kAdapted ? 208 : 232);
  [[maybe_unused]] static constexpr int kProducerRegisters = Columns == 16 ? 24 : 40;
  [[maybe_unused]] static constexpr int kDotRegisters = Columns == 16 ? 40 : 56;
  static constexpr int kThreads = kRingThreads + (kAdapted ? kDotThreads : 0);
  static constexpr int kSums = Columns / 2;                              // a lane's
  [[maybe_unused]] static constexpr int kAhead = Columns == 64 ? 1 : 2;  // groups under way
  static constexpr int kStash = 2 * kSums * kRingTiles * 32 * static_cast<int>(sizeof(float));
  static constexpr int kBytes = 1024 + kStages * kStage + kStash;
};

#ifdef BOBBY_WGMMA

/// Calls visit(first group, groups) for a part's groups, at most kStageGroups at a time.
template <typename F>
__device__ void for_part(int part, int groups, const F& visit) {
  for (int base = part * kTilePartGroups; base < groups; base += kTileParts * kTilePartGroups)
    for (int first = base; first < min(base + kTilePartGroups, groups); first += kStageGroups)
      visit(first, min(kStageGroups, min(base + kTilePartGroups, groups) - first));
}

/// One of the producing threads. The first stages' weights are asked for before x is there.
template <int Columns, typename Args>
__device__ void produce(const Args& args, int producer, unsigned char* ring,
                        RingBarriers<Layout<Columns>::kStages>& barriers) {
  using L = Layout<Columns>;
  const int groups = args.matrices.cols / kTileGroup;
  const int units = args.cut.units();
  RingPlace<L::kStages> place;
  int filled = 0;
  int late_first[L::kStages];  // x of the first stages comes after begin()
  int late_count[L::kStages];
  const auto copy_x = [&](int stage, int first, int count) {
    unsigned char* to = ring + stage * L::kStage;
    if (producer == 0)
      bulk_copy(to + L::kX + L::kWeights, args.x.scales + static_cast<long long>(first) * Columns,
                static_cast<unsigned>(count * Columns * sizeof(float2)), &barriers.full[stage]);
    if (producer == 1)
      bulk_copy(to, args.x.bytes + static_cast<long long>(first) * Columns * 128,
                static_cast<unsigned>(count * Columns * 128), &barriers.full[stage]);
  };
  const auto late = [&] {
    begin();
#pragma unroll
    for (int i = 0; i < L::kStages; ++i)
      if (i < filled) copy_x(i, late_first[i], late_count[i]);
  };
  for (int index = static_cast<int>(blockIdx.x); index < units;
       index += static_cast<int>(gridDim.x)) {
    const Unit unit(args.cut, index);
    const int first_tile = unit.tile_block * kRingTiles;
    const int tiles = min(kRingTiles, args.matrices.tiles - first_tile);
    const unsigned char* above = tile_records(args.matrices, first_tile + producer * 2);
    const unsigned char* below = tile_records(args.matrices, first_tile + producer * 2 + 1);
    for (int i = 0; i < unit.quarters(); ++i)
      for (int j = unit.first_part(); j < unit.end_part(); ++j)
        for_part(part_of_quarter(unit.quarter(i), j), groups, [&](int first, int count) {
          const int stage = place.stage;
          std::uint64_t* full = &barriers.full[stage];
          barrier_wait(&barriers.empty[stage], place.phase ^ 1);
          if (producer == 0)
            barrier_expect(full, static_cast<unsigned>(
                                     count * (tiles * kTileRecordBytes + Columns * (128 + 8))));
          unsigned char* to =
              ring + stage * L::kStage + L::kX + producer * 2 * kStageGroups * kTileRecordBytes;
          const auto bytes = static_cast<unsigned>(count * kTileRecordBytes);
          const long long skip = static_cast<long long>(first) * kTileRecordBytes;
          if (above) bulk_copy(to, above + skip, bytes, full);
          if (below) bulk_copy(to + kStageGroups * kTileRecordBytes, below + skip, bytes, full);
          if (filled < L::kStages) {
#pragma unroll
            for (int s = 0; s < L::kStages; ++s)
              if (s == filled) {
                late_first[s] = first;
                late_count[s] = count;
              }
            if (++filled == L::kStages) late();
          } else {
            copy_x(stage, first, count);
          }
          place.next();
        });
  }
  if (filled < L::kStages) late();
}

/// What a group adds to the sums: hi products in the first half, lo in the second; `scales` are
/// those of the columns, two in a float4.
template <int Columns, Element Type>
__device__ void add_products(const int (&products)[Columns], uint2 pair, const float4* scales,
                             float (&sums)[Columns / 2]) {
  const float2 above = scale_and_bias<Type>(pair.x);
  const float2 below = scale_and_bias<Type>(pair.y);
#pragma unroll
  for (int j = 0; j < Columns / 8; ++j) {
    const float4 both = scales[j * 4];
    const float2 even = make_float2(both.x, both.y);
    const float2 odd = make_float2(both.z, both.w);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int at = j * 4 + k;
      const int product = products[at] * 128 + products[at + Columns / 2];
      sums[at] = add_group(sums[at], static_cast<float>(product), k < 2 ? above : below,
                           k % 2 ? odd : even);
    }
  }
}

/// `Groups` groups of a stage, from `first` on. While one group's sums are added, the next ones'
/// products are under way.
template <int Columns, int Groups, Element Type>
__device__ void add_groups(const unsigned char* stage, int first,
                           float (&sums)[Layout<Columns>::kSums]) {
  using L = Layout<Columns>;
  constexpr int kAhead = Groups < L::kAhead ? Groups : L::kAhead;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned char* records = stage + L::kX + (warp * kStageGroups + first) * kTileRecordBytes;
  const auto* scales =
      reinterpret_cast<const float4*>(stage + L::kX + L::kWeights) + lane % 4 + first * Columns / 2;
  const std::uint64_t x = tile_descriptor<64>(stage + first * Columns * 128);
  int products[kAhead][Columns];
  uint4 words[Groups];
  uint2 pairs[Groups];
#pragma unroll
  for (int i = 0; i < Groups; ++i) {
    const unsigned char* record = records + i * kTileRecordBytes;
    words[i] = reinterpret_cast<const uint4*>(record)[lane];
    pairs[i] = reinterpret_cast<const uint2*>(record + kTileLevelBytes)[lane / 4];
  }
  const auto start = [&](int i) {
    const Levels levels(words[i]);
    wgmma_begin();
    wgmma_u8(products[i % kAhead], levels.first, x + i * Columns * 8, 0);
    wgmma_u8(products[i % kAhead], levels.second, x + i * Columns * 8 + 2, 1);
    wgmma_commit();
  };
#pragma unroll
  for (int i = 0; i < kAhead - 1; ++i) start(i);
#pragma unroll
  for (int i = 0; i < Groups; ++i) {
    if (i + kAhead - 1 < Groups) {
      start(i + kAhead - 1);
      wgmma_wait<kAhead - 1>();
    } else {
      wgmma_wait<0>();
    }
    add_products<Columns, Type>(products[i % kAhead], pairs[i], scales + i * Columns / 2, sums);
  }
}

/// A warp's sums over one part.
template <int Columns, Element Type, typename Args>
__device__ void add_part(const Args& args, int part, const unsigned char* ring,
                         RingBarriers<Layout<Columns>::kStages>& barriers,
                         RingPlace<Layout<Columns>::kStages>& place,
                         float (&sums)[Layout<Columns>::kSums]) {
  using L = Layout<Columns>;
#pragma unroll
  for (float& sum : sums) sum = 0.0f;
  for_part(part, args.matrices.cols / kTileGroup, [&](int, int count) {
    barrier_wait(&barriers.full[place.stage], place.phase);
    const unsigned char* stage = ring + place.stage * L::kStage;
    if (count == kStageGroups)
      add_groups<Columns, kStageGroups, Type>(stage, 0, sums);
    else
      for (int i = 0; i < count; ++i) add_groups<Columns, 1, Type>(stage, i, sums);
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(&barriers.empty[place.stage]);
    place.next();
  });
}

template <int Sums>
__device__ void copy(float (&to)[Sums], const float (&from)[Sums]) {
#pragma unroll
  for (int i = 0; i < Sums; ++i) to[i] = from[i];
}
template <int Sums>
__device__ void add(float (&to)[Sums], const float (&from)[Sums]) {
#pragma unroll
  for (int i = 0; i < Sums; ++i) to[i] += from[i];
}

/// A lane's own place among a block's sums: [kSums / 4][256] of float4.
template <int Sums>
__device__ void put_away(float* memory, const float (&sums)[Sums]) {
#pragma unroll
  for (int i = 0; i < Sums / 4; ++i)
    reinterpret_cast<float4*>(memory)[i * kRingTiles * 32 + threadIdx.x] =
        make_float4(sums[i * 4], sums[i * 4 + 1], sums[i * 4 + 2], sums[i * 4 + 3]);
}
template <int Sums>
__device__ void add_from(const float* memory, float (&sums)[Sums]) {
#pragma unroll
  for (int i = 0; i < Sums / 4; ++i) {
    const float4 four = reinterpret_cast<const float4*>(memory)[i * kRingTiles * 32 + threadIdx.x];
    sums[i * 4] += four.x;
    sums[i * 4 + 1] += four.y;
    sums[i * 4 + 2] += four.z;
    sums[i * 4 + 3] += four.w;
  }
}

/// The sums of `Count` splits, added as a tree of pairs.
template <int Count, int Sums>
__device__ void add_slabs(const float* slabs, float (&sums)[Sums]) {
  if constexpr (Count == 1) {
#pragma unroll
    for (float& sum : sums) sum = -0.0f;  // to which a number is added as it is
    add_from(slabs, sums);
  } else {
    float second[Sums];
    add_slabs<Count / 2>(slabs, sums);
    add_slabs<Count / 2>(slabs + Count / 2 * Sums * kRingTiles * 32, second);
    add(sums, second);
  }
}

/// Adds what the other splits of the tiles have: in the block that comes last. False: not that one.
template <int Sums, typename Args>
__device__ bool add_splits(const Args& args, const Unit& unit, float (&sums)[Sums]) {
  constexpr int kFloats = Sums * kRingTiles * 32;
  __shared__ int last;
  const int of_cut = unit.tile_block - args.cut.whole;
  float* own = args.partials.sums + static_cast<long long>(of_cut) * unit.splits * kFloats;
  put_away(own + unit.split * kFloats, sums);
  __threadfence();
  asm volatile("bar.sync 1, 256;" ::: "memory");
  if (threadIdx.x == 0) {
    const int before = atomicAdd(&args.partials.arrived[of_cut], 1);
    last = before == unit.splits - 1;
    if (last) args.partials.arrived[of_cut] = 0;
  }
  asm volatile("bar.sync 1, 256;" ::: "memory");
  if (!last) return false;
  __threadfence();
  if constexpr (Sums <= 8) {
    if (unit.splits == 8) {
      add_slabs<8>(own, sums);
      return true;
    }
  }
  if (unit.splits == 4)
    add_slabs<4>(own, sums);
  else
    add_slabs<2>(own, sums);
  return true;
}

template <int Columns, bool kAdapted>
__device__ void write_out(const BatchArgs<kAdapted>& args, [[maybe_unused]] const void* dots,
                          int tile, float (&sums)[Columns / 2]) {
  if (tile >= args.matrices.tiles) return;
  const Matrix& matrix = matrix_of(args.matrices, tile);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int o = (tile - matrix.tiles_before) * kTileRows + lane / 4;
  float* out = matrix.out + o;
  [[maybe_unused]] unsigned rest = 0;
  if constexpr (kAdapted)
    rest = add_deltas<Columns>(args.deltas, *static_cast<const DotsMemory<Columns>*>(dots),
                               static_cast<int>(&matrix - args.matrices.each), o, args.rows, sums);
#pragma unroll
  for (int i = 0; i < Columns / 2; ++i) {
    const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (column < args.rows)
      out[static_cast<long long>(column) * matrix.rows + i / 2 % 2 * 8] = sums[i];
  }
  if constexpr (kAdapted)
    finish_rest(args.deltas.of, static_cast<int>(&matrix - args.matrices.each), o, rest, out,
                matrix.rows);
}

/// The two warpgroups: warp w tile w of eight.
template <int Columns, Element Type, typename Args>
__device__ void consume(const Args& args, const void* dots, const unsigned char* ring, float* stash,
                        RingBarriers<Layout<Columns>::kStages>& barriers) {
  using L = Layout<Columns>;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int units = args.cut.units();
  float* second_stash = stash + L::kSums * kRingTiles * 32;
  RingPlace<L::kStages> place;
  for (int index = static_cast<int>(blockIdx.x); index < units;
       index += static_cast<int>(gridDim.x)) {
    const Unit unit(args.cut, index);
    float quarter[L::kSums];
    for (int i = 0; i < unit.quarters(); ++i) {
      // A loop and not four copies: the code has to stay in the instruction cache.
#pragma unroll 1
      for (int j = unit.first_part(); j < unit.end_part(); j += 2) {
        float half[L::kSums], sums[L::kSums];
        const int part = part_of_quarter(unit.quarter(i), j);
        add_part<Columns, Type>(args, part, ring, barriers, place, half);
        add_part<Columns, Type>(args, part + 8, ring, barriers, place, sums);
        add(half, sums);
        if (j == unit.first_part())
          copy(quarter, half);
        else
          add(quarter, half);
      }
      if (i == 0 && unit.quarters() > 1) put_away(stash, quarter);
      if (i == 1) add_from(stash, quarter);
      if (i == 1 && unit.quarters() > 2) put_away(second_stash, quarter);
      if (i == 2) put_away(stash, quarter);
      if (i == 3) {
        add_from(stash, quarter);
        add_from(second_stash, quarter);
      }
    }
    if (unit.splits == 1 || add_splits(args, unit, quarter))
      write_out<Columns>(args, dots, unit.tile_block * kRingTiles + warp, quarter);
  }
}

#endif  // BOBBY_WGMMA

template <int Columns, Element Type, bool kAdapted>
__global__ void __launch_bounds__(Layout<Columns, kAdapted>::kThreads, Layout<Columns>::kBlocks)
    batch_kernel(const __grid_constant__ BatchArgs<kAdapted> args) {
#ifdef BOBBY_WGMMA
  using L = Layout<Columns, kAdapted>;
  constexpr int kReaders = kRingWarps * 32;
  __shared__ std::conditional_t<kAdapted, DotsMemory<Columns>, NoDeltas> dots;
  extern __shared__ unsigned char memory[];
  __shared__ RingBarriers<L::kStages> barriers;
  unsigned char* ring = memory + (1024 - shared_address(memory) % 1024) % 1024;
  auto* stash = reinterpret_cast<float*>(ring + L::kStages * L::kStage);
  allow_next();
  if (threadIdx.x == 0) barriers.init();
  __syncthreads();
  const int producer = static_cast<int>(threadIdx.x) / 32 - kRingWarps;
  if (kAdapted && producer >= kProducers) {
    if constexpr (kAdapted) {
      shrink_registers<L::kDotRegisters>();
      make_dots<Columns, kReaders>(args.deltas, dots, static_cast<int>(threadIdx.x) - kRingThreads);
    }
  } else if (producer >= 0) {
    shrink_registers<L::kProducerRegisters>();
    if (threadIdx.x % 32 == 0) produce<Columns>(args, producer, ring, barriers);
  } else {
    grow_registers<L::kConsumerRegisters>();
    begin();
    if constexpr (kAdapted) await_rows<kReaders>();
    consume<Columns, Type>(args, &dots, ring, stash, barriers);
  }
#endif
}

struct Batch {
  const Matrices& matrices;
  ByteTiles x;
  int rows;
  Partials partials;
  const InnerDeltas* deltas;
  DotsDone& done;
  cudaStream_t stream;
};

template <int Columns, Element Type, bool kAdapted>
void launch_batch(const Batch& batch) {
  using L = Layout<Columns, kAdapted>;
  static const auto kernel = [] {
    cudaFuncSetAttribute(batch_kernel<Columns, Type, kAdapted>,
                         cudaFuncAttributeMaxDynamicSharedMemorySize, L::kBytes);
    return batch_kernel<Columns, Type, kAdapted>;
  }();
  const int places = multiprocessors() * L::kBlocks;
  BatchArgs<kAdapted> args{.matrices = batch.matrices,
                           .x = batch.x,
                           .partials = batch.partials,
                           .cut = {},
                           .rows = batch.rows,
                           .deltas = {}};
  args.cut = cut_for((batch.matrices.tiles + kRingTiles - 1) / kRingTiles, places,
                     Columns == 16 ? 8 : 4, Columns * kRingTiles * kTileRows);
  const auto blocks = static_cast<unsigned>(std::min(args.cut.units(), places));
  const unsigned makers = std::min(blocks, static_cast<unsigned>(multiprocessors()));
  if constexpr (kAdapted)
    args.deltas = {.of = *batch.deltas,
                   .done = batch.done.count,
                   .target = batch.done.expected += makers,
                   .blocks = static_cast<int>(makers)};
  launch(kernel, dim3(blocks), L::kThreads, L::kBytes, batch.stream, args);
}

template <Element Type, bool kAdapted>
void launch_columns(const Batch& batch) {
  switch (batch.x.columns) {
    case 16: return launch_batch<16, Type, kAdapted>(batch);
    case 32: return launch_batch<32, Type, kAdapted>(batch);
    default: return launch_batch<64, Type, kAdapted>(batch);
  }
}

template <Element Type>
void load_kernels() {
  load_kernel(batch_kernel<16, Type, false>);
  load_kernel(batch_kernel<32, Type, false>);
  load_kernel(batch_kernel<64, Type, false>);
  load_kernel(batch_kernel<16, Type, true>);
  load_kernel(batch_kernel<32, Type, true>);
  load_kernel(batch_kernel<64, Type, true>);
}

}  // namespace

bool has_warpgroups() {
  static const bool has = [] {
    int device = 0;
    int major = 0;
    int minor = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    return major == 9 && minor == 0;
  }();
  return has;
}

void load_batch_kernels(Element element) {
  if (element == Element::kBF16) return load_kernels<Element::kBF16>();
  load_kernels<Element::kF16>();
}

void batch_product(const Matrices& matrices, ByteTiles x, int rows, Partials partials,
                   const InnerDeltas* deltas, DotsDone& done, cudaStream_t stream) {
  const Batch batch{matrices, x, rows, partials, deltas, done, stream};
  if (matrices.element == Element::kBF16)
    return deltas ? launch_columns<Element::kBF16, true>(batch)
                  : launch_columns<Element::kBF16, false>(batch);
  deltas ? launch_columns<Element::kF16, true>(batch) : launch_columns<Element::kF16, false>(batch);
}

}  // namespace bobby::cuda
