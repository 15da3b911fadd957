#include "backends/cpu/linear/linear.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "backends/cpu/linear/kernels.h"
#include "backends/cpu/linear/packed_activations.h"
#include "backends/cpu/linear/scratch.h"
#include "tensor/half.h"

namespace bobby::cpu {
namespace {

constexpr std::int64_t kRowBlock = 64;  // output rows of one task: the unit of stealing

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
    case CpuIsa::kNeonDotprod: return &kNeonDotKernels;
    case CpuIsa::kNeonI8mm: return &kNeonI8mmKernels;
#endif
    default: return nullptr;
  }
}

const TileKernels* tiles_of([[maybe_unused]] CpuIsa isa) {
#if defined(__x86_64__)
  if (isa == CpuIsa::kAmx) return &kAmxTiles;
#elif defined(__aarch64__)
  if (isa == CpuIsa::kNeon) return &kNeonTiles;
  if (isa == CpuIsa::kNeonDotprod) return &kNeonDotTiles;
  if (isa == CpuIsa::kNeonI8mm) return &kNeonI8mmTiles;
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
  State(CpuIsa isa, ActivationFormat format, ThreadPool& threads)
      : name(isa == CpuIsa::kAmx ? "amx" : kernels_of(isa)->name),
        kernels(kernels_of(isa)),
        tiles(tiles_of(isa)),
        pool(threads),
        packed(*kernels, tiles, format),
        scratch(static_cast<std::size_t>(threads.threads())) {}

  void plan(Activation x, std::span<const Projection> projections);
  void prepare(Activation x);
  void lora_item(Activation x, std::int64_t item);
  void multiply(Activation x, std::int64_t begin, std::int64_t end, int thread);
  void product(const WeightView& weight, Activation x, std::int64_t begin, std::int64_t end,
               Activation out, int thread);
  void finish_rows(const ProjectionStep& step, Activation x, std::int64_t begin, std::int64_t end);

  const char* name;
  const LinearKernels* kernels;
  const TileKernels* tiles;  // null: there are none
  ThreadPool& pool;

  // Of the current call; kept to reuse their memory.
  std::vector<ProjectionStep> steps;
  std::vector<LoraStep> loras;
  PackedActivations packed;
  std::int64_t lora_items = 0;
  std::int64_t output_rows = 0;
  Scratch<float> z;
  std::vector<Scratch<unsigned char>> scratch;  // of each thread
};

// Lists what the call needs and reserves memory for it.
void LinearEngine::State::plan(Activation x, std::span<const Projection> projections) {
  steps.clear();
  loras.clear();
  packed.start(x);
  lora_items = 0;
  output_rows = 0;
  std::size_t z_size = 0;
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
    if (weight.format.kind == WeightFormat::Kind::kAffine) packed.need(weight.format);
  }
  z.reserve(z_size);
}

// Packs x for every layout in use and computes A x of every LoRA: one parallel section, since the
// products wait for both.
void LinearEngine::State::prepare(Activation x) {
  const std::int64_t pack_items = packed.items();
  const auto run = [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t item = begin; item < end; ++item) {
      item < pack_items ? packed.pack(item) : lora_item(x, item - pack_items);
    }
  };
  const std::int64_t items = pack_items + lora_items;
  if (items <= 1) {
    run(0, items, 0);
  } else {
    pool.parallel_for(items, 1, run);
  }
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
  args.out = out.data + begin;
  args.out_stride = out.cols;
  packed.describe(format, args);
  const bool tiled = packed.tiled();
  args.scratch = scratch[static_cast<std::size_t>(thread)].reserve(
      tiled ? tiles->scratch(args) : kernels->quant_scratch(args));
  tiled ? tiles->quant(args) : kernels->quant(args);
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

LinearEngine::LinearEngine(CpuIsa isa, ThreadPool& pool, ActivationFormat format) {
  if (kernels_of(isa) == nullptr) std::abort();  // not in this build: ask available_isas()
  state_ = std::make_unique<State>(isa, format, pool);
}

LinearEngine::~LinearEngine() = default;

Result<void> LinearEngine::supports(const WeightFormat& format) const {
  constexpr std::array kGroupSizes = {32, 64, 128};
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
  return state_->name;
}

}  // namespace bobby::cpu
