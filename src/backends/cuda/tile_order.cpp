#include "backends/cuda/tile_order.h"

#include <cassert>
#include <cstring>

namespace bobby::cuda {

bool has_tile_order(const WeightView& view) {
  return view.format.kind == WeightFormat::Kind::kAffine && view.format.bits == 4 &&
         view.format.group_size == kTileGroup && view.format.dtype != DType::kF32 &&
         view.rows % kTileRows == 0 && view.cols % kTileGroup == 0;
}

void to_tile_order(const WeightView& view, std::byte* out) {
  assert(has_tile_order(view));
  const std::size_t row_bytes = view.weight_row_bytes();
  const std::size_t scale_row_bytes = view.scales_row_bytes();
  for (std::int64_t tile = 0; tile < view.rows / kTileRows; ++tile)
    for (std::int64_t group = 0; group < view.cols / kTileGroup; ++group) {
      const auto at = [&](std::int64_t quad, std::int64_t j) {
        return static_cast<std::size_t>(tile * kTileRows + quad + 8 * (j % 2));
      };
      for (std::int64_t lane = 0; lane < 32; ++lane)
        for (std::int64_t j = 0; j < 4; ++j, out += 4) {
          const std::int64_t word = group * 8 + lane % 4 + 4 * (j / 2);
          std::memcpy(out, view.weight + at(lane / 4, j) * row_bytes + word * 4, 4);
        }
      for (std::int64_t quad = 0; quad < 8; ++quad)
        for (std::int64_t j = 0; j < 2; ++j, out += 4) {
          std::memcpy(out, view.scales + at(quad, j) * scale_row_bytes + group * 2, 2);
          std::memcpy(out + 2, view.biases + at(quad, j) * scale_row_bytes + group * 2, 2);
        }
    }
}

}  // namespace bobby::cuda
