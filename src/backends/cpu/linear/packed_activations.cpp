#include "backends/cpu/linear/packed_activations.h"

#include <algorithm>

namespace bobby::cpu {
namespace {

constexpr std::int64_t kTilePieces = 8;  // of a tile, packed apart: ten rows are one tile only

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

PackedActivations::PackedActivations(const LinearKernels& kernels, const TileKernels* tiles,
                                     ActivationFormat format)
    : kernels_(kernels), tiles_(tiles), int8_(format == ActivationFormat::kInt8) {}

void PackedActivations::start(Activation x) {
  x_ = x;
  tiled_ = tiles_ != nullptr && x.rows >= tiles_->min_rows;
  packs_ = tiled_ ? round_up(x.rows, kTileX) / kTileX * kTilePieces : x.rows;
  layouts_.clear();
}

// Bytes only where the kernels take them; the level, and so the result, is the same in words.
PackLayout PackedActivations::layout_of(const WeightFormat& format) const {
  PackLayout layout;
  layout.group_size = format.group_size;
  const bool fields = format.bits == 2 || format.bits == 4 || format.bits == 8;
  if (fields) layout.field_bits = format.bits;
  if (int8_ && fields && kernels_.bytes) layout.word_bits = 8;
  return layout;
}

int PackedActivations::index_of(const PackLayout& layout) const {
  const int group = layout.group_size == 32 ? 0 : layout.group_size == 64 ? 1 : 2;
  if (tiled_) return group;
  const int field = layout.field_bits == 2   ? 0
                    : layout.field_bits == 4 ? 1
                    : layout.field_bits == 8 ? 2
                                             : 3;
  return ((layout.word_bits == 8 ? 1 : 0) * 4 + field) * 3 + group;
}

std::int64_t PackedActivations::row_bytes(const Packed& packed) const {
  if (tiled_) return x_.cols * kTileX * (int8_ ? 1 : 2);
  return packed.groups * packed.layout.group_size * packed.layout.word_bits / 8;
}

void PackedActivations::need(const WeightFormat& format) {
  const PackLayout layout = layout_of(format);
  const int index = index_of(layout);
  if (std::ranges::find(layouts_, index) != layouts_.end()) return;
  layouts_.push_back(index);
  Packed& packed = packed_[static_cast<std::size_t>(index)];
  packed.layout = layout;
  packed.groups = x_.cols / layout.group_size;
  if (!tiled_) packed.groups = round_up(packed.groups, kChunkGroups);
  const std::int64_t rows = tiled_ ? packs_ / kTilePieces : packs_;
  const std::int64_t scales = rows * packed.groups * (tiled_ ? kTileX : 1);
  packed.q.reserve(static_cast<std::size_t>(rows * row_bytes(packed)));
  packed.scale.reserve(static_cast<std::size_t>(scales));
  packed.sum.reserve(static_cast<std::size_t>(scales));
}

void PackedActivations::pack(std::int64_t item) {
  Packed& to = packed_[static_cast<std::size_t>(layouts_[static_cast<std::size_t>(item / packs_)])];
  const std::int64_t pack = item % packs_;
  tiled_ ? pack_tile(to, pack / kTilePieces, pack % kTilePieces) : pack_row(to, pack);
}

void PackedActivations::pack_tile(Packed& to, std::int64_t tile, std::int64_t piece) {
  TilePackArgs args;
  args.x = x_.data + tile * kTileX * x_.cols;
  args.x_stride = x_.cols;
  args.rows = std::min<std::int64_t>(x_.rows - tile * kTileX, kTileX);
  args.cols = x_.cols;
  args.group_size = to.layout.group_size;
  args.group_begin = to.groups * piece / kTilePieces;
  args.group_end = to.groups * (piece + 1) / kTilePieces;
  args.level = int8_ ? kInt8Level : kQ15Level;
  args.q = reinterpret_cast<std::int8_t*>(to.q.data() + tile * row_bytes(to));
  args.scale = to.scale.data() + tile * to.groups * kTileX;
  args.sum = to.sum.data() + tile * to.groups * kTileX;
  tiles_->pack(args);
}

void PackedActivations::pack_row(Packed& to, std::int64_t row) {
  PackArgs args;
  args.x = x_.data + row * x_.cols;
  args.cols = x_.cols;
  args.layout = to.layout;
  args.level = int8_ ? kInt8Level : kQ15Level;
  args.q = to.q.data() + row * row_bytes(to);
  args.scale = to.scale.data() + row * to.groups;
  args.sum = to.sum.data() + row * to.groups;
  kernels_.pack(args);
}

void PackedActivations::describe(const WeightFormat& format, QuantArgs& args) const {
  const Packed& from = packed_[static_cast<std::size_t>(index_of(layout_of(format)))];
  args.x_rows = x_.rows;
  args.int8 = int8_;
  args.bytes = !tiled_ && from.layout.word_bits == 8;
  args.q = from.q.data();
  args.q_tiles = reinterpret_cast<const std::int8_t*>(from.q.data());
  args.x_scale = from.scale.data();
  args.x_sum = from.sum.data();
  args.padded_groups = from.groups;
}

}  // namespace bobby::cpu
