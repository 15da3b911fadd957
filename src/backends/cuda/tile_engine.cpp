#include "backends/cuda/tile_engine.h"

#include "backends/cuda/tile_order.h"

namespace bobby::cuda {

Result<void> TileEngine::reserve(std::int64_t cols) {
  if (!has_warpgroups() || cols <= cols_) return {};
  const auto numbers = static_cast<std::size_t>(cols);
  const std::size_t groups = (numbers + kTileGroup - 1) / kTileGroup;
  rounded_ = {};
  bytes_.reset();
  halves_.reset();
  BOBBY_TRY(byte_scales_, DeviceMemory::make(kBatchRows * groups * sizeof(float2)));
  BOBBY_TRY(halves_, DeviceMemory::make(kPromptRows * groups * kTileGroup * 2));
  BOBBY_TRY(half_sums_, DeviceMemory::make(kPromptRows * (groups / kSumGroups + 1) * 128));
  if (!partials_) {
    load_x_tiles_kernels();
    load_batch_kernels(Element::kBF16);
    load_prefill_kernels(Element::kBF16);
    load_prompt_dots();
    BOBBY_TRY(half_factors_, DeviceMemory::make(kPromptRows * sizeof(float)));
    BOBBY_TRY(partials_, DeviceMemory::make(kPartialFloats * sizeof(float)));
    BOBBY_TRY(arrived_, DeviceMemory::zeroed(kMostPartialTiles * sizeof(int), stream_));
    BOBBY_TRY(dots_count_, DeviceMemory::zeroed(sizeof(unsigned), stream_));
    dots_ = {.count = static_cast<unsigned*>(dots_count_->data())};
  }
  BOBBY_TRY(bytes_, DeviceMemory::make(kBatchRows * groups * kTileGroup * 2));
  cols_ = cols;
  return {};
}

ByteTiles TileEngine::byte_tiles(int rows) const {
  return {.bytes = static_cast<unsigned char*>(bytes_->data()),
          .scales = static_cast<float2*>(byte_scales_->data()),
          .columns = byte_tile_columns(rows)};
}

HalfTiles TileEngine::half_tiles() const {
  return {.halves = static_cast<unsigned char*>(halves_->data()),
          .sums = static_cast<unsigned char*>(half_sums_->data()),
          .factors = static_cast<float*>(half_factors_->data())};
}

bool TileEngine::has(const Rounded& wanted) const {
  return rounded_.x == wanted.x && rounded_.rows == wanted.rows && rounded_.cols == wanted.cols &&
         rounded_.element == wanted.element && rounded_.launch == launches();
}

void TileEngine::round_batch(const float* x, int rows, int cols) {
  if (has({.x = x, .rows = rows, .cols = cols})) return;
  to_byte_tiles(x, rows, cols, byte_tiles(rows), stream_);
  rounded_batch(x, rows, cols);
}

void TileEngine::batch(const Matrices& matrices, int rows, const InnerDeltas* deltas) {
  batch_product(matrices, byte_tiles(rows), rows,
                {static_cast<float*>(partials_->data()), static_cast<int*>(arrived_->data())},
                deltas, dots_, stream_);
}

void TileEngine::round_prompt(float* x, Gated gated, int rows, int cols, Element element) {
  last_element_ = element;
  if (!gated.gate && has({.x = x, .rows = rows, .cols = cols, .element = element})) return;
  to_half_tiles(x, gated, rows, cols, element, half_tiles(), stream_);
  rounded_prompt(x, rows, cols, element);
}

void TileEngine::prompt_dots(const InnerDeltas& deltas, int rows, int cols) {
  if (cuda::prompt_dots(
          deltas, rows, cols,
          {static_cast<float*>(partials_->data()), static_cast<int*>(arrived_->data())}, stream_))
    return;
  lora_a_prompts(deltas.entries, deltas.most_rank, deltas.most_rows, cols % 4 != 0, deltas.x,
                 deltas.ax, stream_);
}

void TileEngine::prompt(const Matrices& matrices, int rows, const InnerDeltas* deltas) {
  prefill_product(matrices, half_tiles(), rows, deltas, stream_);
}

}  // namespace bobby::cuda
