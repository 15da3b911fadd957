#include "backends/cpu/linear/linear.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "backends/cpu/linear/kernels.h"
#include "tensor/half.h"

namespace bobby::cpu {
namespace {

constexpr std::int64_t kRowBlock = 64;  // output rows of one task: the unit of stealing
constexpr std::int64_t kMinTileX = 6;   // rows of x from which tiles are faster

const LinearKernels* kernels_of(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kPortable: return &kPortableKernels;
#if defined(__x86_64__)
    case CpuIsa::kAvx2: return &kAvx2Kernels;
    case CpuIsa::kAvx512: return &kAvx512Kernels;
    case CpuIsa::kAvx512Vnni:
    case CpuIsa::kAmx: return &kAvx512VnniKernels;
#elif defined(__aarch64__)
    case CpuIsa::kNeon: return &kNeonKernels;
#endif
    default: return nullptr;
  }
}

const TileKernels* tiles_of([[maybe_unused]] CpuIsa isa) {
#if defined(__x86_64__)
  if (isa == CpuIsa::kAmx) return &kAmxTiles;
#endif
  return nullptr;
}

int element_type(DType dtype) {
  if (dtype == DType::kF16) return kF16;
  return dtype == DType::kBF16 ? kBF16 : kF32;
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

float element(const std::byte* data, DType dtype, std::int64_t index) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, data + index * 4, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, data + index * 2, sizeof bits);
  return dtype == DType::kBF16 ? bf16_to_float(bits) : f16_to_float(bits);
}

const unsigned char* bytes_of(const std::byte* data) {
  return reinterpret_cast<const unsigned char*>(data);
}

/// Memory that only grows, 64-byte aligned, not preserved when it does.
template <typename T>
class Scratch {
 public:
  T* reserve(std::size_t count) {
    if (count > capacity_) {
      data_.reset(static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{64})));
      capacity_ = count;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { ::operator delete (data, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t capacity_ = 0;
};

/// x quantised for the weights of one layout.
struct PackedX {
  PackLayout layout;
  std::int64_t padded_groups = 0;
  Scratch<std::int16_t> q;
  Scratch<float> scale;
  Scratch<float> sum;

  void reserve(std::int64_t rows, std::int64_t cols) {
    const std::int64_t groups = cols / layout.group_size;
    padded_groups = (groups + kChunkGroups - 1) / kChunkGroups * kChunkGroups;
    q.reserve(static_cast<std::size_t>(rows * padded_groups * layout.group_size));
    scale.reserve(static_cast<std::size_t>(rows * padded_groups));
    sum.reserve(static_cast<std::size_t>(rows * padded_groups));
  }
};

PackLayout layout_of(const WeightFormat& format) {
  const bool fields = format.bits == 2 || format.bits == 4 || format.bits == 8;
  return {.field_bits = fields ? format.bits : 16, .group_size = format.group_size};
}

// 2-, 4-, 8-bit fields and spread words, times three group sizes.
int layout_index(const PackLayout& layout) {
  const int field = layout.field_bits == 2   ? 0
                    : layout.field_bits == 4 ? 1
                    : layout.field_bits == 8 ? 2
                                             : 3;
  return field * 3 + (layout.group_size == 32 ? 0 : layout.group_size == 64 ? 1 : 2);
}
constexpr int kLayouts = 12;

/// x quantised in tiles for the weights of one group size.
struct TiledX {
  int group_size = 0;
  std::int64_t tile_bytes = 0;
  std::int64_t groups = 0;
  Scratch<std::int8_t> q;
  Scratch<float> scale;
  Scratch<float> sum;

  void reserve(std::int64_t tiles, std::int64_t cols) {
    groups = cols / group_size;
    tile_bytes = (cols + kTileColumns - 1) / kTileColumns * kTileColumns * 2 * kTileX;
    q.reserve(static_cast<std::size_t>(tiles * tile_bytes));
    scale.reserve(static_cast<std::size_t>(tiles * groups * kTileX));
    sum.reserve(static_cast<std::size_t>(tiles * groups * kTileX));
  }
};
constexpr std::array kGroupSizes = {32, 64, 128};

int group_size_index(int group_size) {
  return group_size == 32 ? 0 : group_size == 64 ? 1 : 2;
}

/// One LoRA of one projection in this step, with its z = A x.
struct LoraStep {
  const LoraRows* rows = nullptr;
  std::size_t z_offset = 0;     // of [row_count, rank]
  std::int64_t first_item = 0;  // of the rows of A, among all that this step computes
};

/// A projection's output rows among those of all projections of the call.
struct ProjectionStep {
  const Projection* projection = nullptr;
  std::int64_t first_row = 0;
  std::size_t first_lora = 0;
  std::size_t lora_count = 0;
};

}  // namespace

struct LinearEngine::State {
  State(CpuIsa isa, ThreadPool& threads)
      : kernels(kernels_of(isa)),
        tiles(tiles_of(isa)),
        pool(threads),
        scratch(static_cast<std::size_t>(threads.threads())) {}

  void plan(Activation x, std::span<const Projection> projections);
  void prepare(Activation x);
  void pack_item(Activation x, std::int64_t item);
  void lora_item(Activation x, std::int64_t item);
  void multiply(Activation x, std::int64_t begin, std::int64_t end, int thread);
  void product(const WeightView& weight, Activation x, std::int64_t begin, std::int64_t end,
               Activation out, int thread);
  void finish_rows(const ProjectionStep& step, Activation x, std::int64_t begin, std::int64_t end);

  const LinearKernels* kernels;
  const TileKernels* tiles;  // null: there are none
  ThreadPool& pool;

  // Of the current call; kept to reuse their memory.
  std::vector<ProjectionStep> steps;
  std::vector<LoraStep> loras;
  bool tiled = false;        // x is packed in `tiled_x`, else in `packed`
  std::int64_t x_packs = 0;  // of each layout: tiles or rows
  std::array<PackedX, kLayouts> packed;
  std::array<TiledX, kGroupSizes.size()> tiled_x;
  std::array<int, kLayouts> layouts = {};  // indices into either: those in use
  int layout_count = 0;
  std::int64_t lora_items = 0;
  std::int64_t output_rows = 0;
  Scratch<float> z;
  std::vector<Scratch<unsigned char>> scratch;  // of each thread
};

// Lists what the call needs and reserves memory for it.
void LinearEngine::State::plan(Activation x, std::span<const Projection> projections) {
  steps.clear();
  loras.clear();
  layout_count = 0;
  lora_items = 0;
  output_rows = 0;
  tiled = tiles != nullptr && x.rows >= kMinTileX;
  x_packs = tiled ? (x.rows + kTileX - 1) / kTileX : x.rows;
  std::size_t z_size = 0;
  std::array<bool, kLayouts> used = {};
  for (const Projection& projection : projections) {
    const WeightView& weight = projection.weight->view();
    assert(weight.cols == x.cols);
    assert(projection.out.rows == x.rows && projection.out.cols == weight.rows);
    steps.push_back({&projection, output_rows, loras.size(), projection.lora.size()});
    output_rows += weight.rows;
    for (const LoraRows& rows : projection.lora) {
      const LoraView& lora = rows.lora->view();
      assert(lora.in_features == x.cols && lora.out_features == weight.rows);
      assert(rows.row_begin >= 0 && rows.row_begin + rows.row_count <= x.rows);
      loras.push_back({&rows, z_size, lora_items});
      z_size += static_cast<std::size_t>(rows.row_count * lora.rank);
      lora_items += lora.rank;
    }
    if (weight.format.kind != WeightFormat::Kind::kAffine) continue;
    const PackLayout layout = layout_of(weight.format);
    const int index = tiled ? group_size_index(layout.group_size) : layout_index(layout);
    if (used[index]) continue;
    used[index] = true;
    layouts[layout_count++] = index;
    if (tiled) {
      tiled_x[index].group_size = layout.group_size;
      tiled_x[index].reserve(x_packs, x.cols);
    } else {
      packed[index].layout = layout;
      packed[index].reserve(x.rows, x.cols);
    }
  }
  z.reserve(z_size);
}

// Packs x for every layout in use and computes A x of every LoRA: one parallel section, since the
// products wait for both.
void LinearEngine::State::prepare(Activation x) {
  const std::int64_t pack_items = layout_count * x_packs;
  const auto run = [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t item = begin; item < end; ++item) {
      item < pack_items ? pack_item(x, item) : lora_item(x, item - pack_items);
    }
  };
  const std::int64_t items = pack_items + lora_items;
  if (items <= 1) {
    run(0, items, 0);
  } else {
    pool.parallel_for(items, 1, run);
  }
}

void LinearEngine::State::pack_item(Activation x, std::int64_t item) {
  const int layout = layouts[item / x_packs];
  if (tiled) {
    TiledX& to = tiled_x[layout];
    const std::int64_t tile = item % x_packs;
    const std::int64_t first = tile * kTileX;
    tiles->pack({.x = x.data + first * x.cols,
                 .x_stride = x.cols,
                 .rows = std::min<std::int64_t>(x.rows - first, kTileX),
                 .cols = x.cols,
                 .group_size = to.group_size,
                 .q = to.q.data() + tile * to.tile_bytes,
                 .scale = to.scale.data() + tile * to.groups * kTileX,
                 .sum = to.sum.data() + tile * to.groups * kTileX});
    return;
  }
  PackedX& to = packed[layout];
  const std::int64_t row = item % x_packs;
  PackArgs args;
  args.x = x.data + row * x.cols;
  args.cols = x.cols;
  args.layout = to.layout;
  args.q = to.q.data() + row * to.padded_groups * to.layout.group_size;
  args.scale = to.scale.data() + row * to.padded_groups;
  args.sum = to.sum.data() + row * to.padded_groups;
  kernels->pack(args);
}

// One row of one A, times the rows of x that the LoRA covers.
void LinearEngine::State::lora_item(Activation x, std::int64_t item) {
  const auto after = std::upper_bound(
      loras.begin(), loras.end(), item,
      [](std::int64_t value, const LoraStep& step) { return value < step.first_item; });
  const LoraStep& step = *(after - 1);
  const LoraView& lora = step.rows->lora->view();
  const std::int64_t rank_row = item - step.first_item;
  DenseArgs args;
  args.weight = reinterpret_cast<const unsigned char*>(lora.a + rank_row * lora.in_features);
  args.element_type = kF32;
  args.rows = 1;
  args.cols = lora.in_features;
  args.x = x.data + step.rows->row_begin * x.cols;
  args.x_stride = x.cols;
  args.x_rows = step.rows->row_count;
  args.out = z.data() + step.z_offset + rank_row;
  args.out_stride = lora.rank;
  kernels->dense(args);
}

// Output rows [begin, end) of all projections together.
void LinearEngine::State::multiply(Activation x, std::int64_t begin, std::int64_t end, int thread) {
  for (const ProjectionStep& step : steps) {
    const WeightView& weight = step.projection->weight->view();
    const std::int64_t first = std::max<std::int64_t>(begin - step.first_row, 0);
    const std::int64_t last = std::min(end - step.first_row, weight.rows);
    if (first >= last) continue;
    product(weight, x, first, last, step.projection->out, thread);
    if (step.projection->bias != nullptr || step.lora_count != 0) {
      finish_rows(step, x, first, last);
    }
  }
}

void LinearEngine::State::product(const WeightView& weight, Activation x, std::int64_t begin,
                                  std::int64_t end, Activation out, int thread) {
  const WeightFormat& format = weight.format;
  if (format.kind == WeightFormat::Kind::kDense) {
    DenseArgs args;
    args.weight_stride = weight.weight_row_bytes();
    args.weight = bytes_of(weight.weight) + begin * args.weight_stride;
    args.element_type = element_type(format.dtype);
    args.rows = end - begin;
    args.cols = weight.cols;
    args.x = x.data;
    args.x_stride = x.cols;
    args.x_rows = x.rows;
    args.out = out.data + begin;
    args.out_stride = out.cols;
    kernels->dense(args);
    return;
  }
  QuantArgs args;
  args.weight_stride = weight.weight_row_bytes();
  args.scale_stride = weight.scales_row_bytes();
  args.weight = bytes_of(weight.weight) + begin * args.weight_stride;
  args.scales = bytes_of(weight.scales) + begin * args.scale_stride;
  args.biases = bytes_of(weight.biases) + begin * args.scale_stride;
  args.rows = end - begin;
  args.groups = weight.cols / format.group_size;
  args.bits = format.bits;
  args.group_size = format.group_size;
  args.scale_type = element_type(format.dtype);
  args.x_rows = x.rows;
  args.out = out.data + begin;
  args.out_stride = out.cols;
  if (tiled) {
    const TiledX& from = tiled_x[group_size_index(format.group_size)];
    args.q_tiles = from.q.data();
    args.x_scale = from.scale.data();
    args.x_sum = from.sum.data();
    args.scratch = scratch[thread].reserve(tiles->scratch(args));
    tiles->quant(args);
    return;
  }
  const PackedX& from = packed[layout_index(layout_of(format))];
  args.q = from.q.data();
  args.x_scale = from.scale.data();
  args.x_sum = from.sum.data();
  args.padded_groups = from.padded_groups;
  args.scratch = scratch[thread].reserve(kernels->quant_scratch(args));
  kernels->quant(args);
}

// Adds bias and LoRA to output rows [begin, end), at most kRowBlock. With y the product alone:
// out = y + bias, then for each LoRA in order += scale * B(Ax), or DoRA's delta of y.
void LinearEngine::State::finish_rows(const ProjectionStep& step, Activation x, std::int64_t begin,
                                      std::int64_t end) {
  const std::int64_t count = end - begin;
  std::array<float, kRowBlock> product_row;
  std::array<float, kRowBlock> delta;
  for (std::int64_t m = 0; m < x.rows; ++m) {
    float* out = step.projection->out.data + m * step.projection->out.cols + begin;
    std::copy_n(out, count, product_row.data());
    if (step.projection->bias != nullptr) {
      const WeightView& bias = step.projection->bias->view();
      for (std::int64_t n = 0; n < count; ++n) {
        out[n] += element(bias.weight, bias.format.dtype, begin + n);
      }
    }
    for (std::size_t i = step.first_lora; i < step.first_lora + step.lora_count; ++i) {
      const LoraRows& rows = *loras[i].rows;
      const std::int64_t z_row = m - rows.row_begin;
      if (z_row < 0 || z_row >= rows.row_count) continue;
      const LoraView& lora = rows.lora->view();
      kernels->lora({.b = lora.b + begin * lora.rank,
                     .z = z.data() + loras[i].z_offset + z_row * lora.rank,
                     .rows = count,
                     .rank = lora.rank,
                     .out = delta.data()});
      if (lora.output_multiplier == nullptr) {
        for (std::int64_t n = 0; n < count; ++n) out[n] += rows.scale * delta[n];
      } else {
        const float* multiplier = lora.output_multiplier + begin;
        for (std::int64_t n = 0; n < count; ++n) {
          out[n] +=
              (multiplier[n] - 1.0f) * product_row[n] + multiplier[n] * (rows.scale * delta[n]);
        }
      }
    }
  }
}

LinearEngine::LinearEngine(CpuIsa isa, ThreadPool& pool) {
  if (kernels_of(isa) == nullptr) std::abort();  // not in this build: ask available_isas()
  state_ = std::make_unique<State>(isa, pool);
}

LinearEngine::~LinearEngine() = default;

Result<void> LinearEngine::supports(const WeightFormat& format) const {
  constexpr std::array kBits = {2, 3, 4, 5, 6, 8};
  const bool known =
      is_float(format.dtype) && (format.kind == WeightFormat::Kind::kDense ||
                                 (std::ranges::count(kBits, format.bits) &&
                                  std::ranges::count(kGroupSizes, format.group_size)));
  if (known) return {};
  return fail({.code = ErrorCode::kUnsupported,
               .where = "cpu backend",
               .problem = "has no kernel for the weight format " + format.to_string(),
               .expected =
                   "float32, float16, bfloat16, or affine 2, 3, 4, 5, 6 or 8 bits in groups "
                   "of 32, 64 or 128"});
}

void LinearEngine::linear(Activation x, std::span<const Projection> projections) {
  if (x.rows == 0) return;
  State& state = *state_;
  state.plan(x, projections);
  state.prepare(x);
  state.pool.parallel_for(state.output_rows, kRowBlock,
                          [&](std::int64_t begin, std::int64_t end, int thread) {
                            state.multiply(x, begin, end, thread);
                          });
}

std::string_view LinearEngine::kernel_name() const {
  return state_->tiles != nullptr ? "amx" : state_->kernels->name;
}

}  // namespace bobby::cpu
