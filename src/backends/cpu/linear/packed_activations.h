#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "backends/backend.h"
#include "backends/cpu/cpu.h"
#include "backends/cpu/linear/kernels.h"
#include "backends/cpu/linear/scratch.h"

namespace bobby::cpu {

/// The x of one linear(), quantised once for each way in which its weights want it: as rows for the
/// kernels that take rows, as tiles for a matrix unit. Memory is kept from call to call.
class PackedActivations {
 public:
  /// `tiles` may be null: there is no matrix unit.
  PackedActivations(const LinearKernels& kernels, const TileKernels* tiles,
                    ActivationFormat format);

  /// A new x, [rows, cols]; forgets what the last one needed.
  void start(Activation x);
  /// Reserves memory for a weight of this affine format.
  void need(const WeightFormat& format);

  /// Pieces of work of pack(), independent of each other.
  std::int64_t items() const { return static_cast<std::int64_t>(layouts_.size()) * packs_; }
  void pack(std::int64_t item);

  /// Whether products go through TileKernels.
  bool tiled() const { return tiled_; }
  /// Sets x_rows and everything about x of the product with a weight of this format.
  void describe(const WeightFormat& format, QuantArgs& args) const;

 private:
  struct Packed {
    PackLayout layout;
    std::int64_t groups = 0;  // of a row, with its padding
    Scratch<unsigned char> q;
    Scratch<float> scale;
    Scratch<float> sum;
  };
  // 2-, 4- and 8-bit fields, spread words, each in words or bytes, times three group sizes. Tiles
  // are all alike: those of a group size.
  static constexpr int kLayouts = 24;

  PackLayout layout_of(const WeightFormat& format) const;
  int index_of(const PackLayout& layout) const;
  std::int64_t row_bytes(const Packed& packed) const;  // of q: of a row, or of a tile
  void pack_tile(Packed& to, std::int64_t tile, std::int64_t piece);
  void pack_row(Packed& to, std::int64_t row);

  const LinearKernels& kernels_;
  const TileKernels* tiles_;
  bool int8_;

  Activation x_;
  bool tiled_ = false;
  std::int64_t packs_ = 0;  // rows of x, or pieces of its tiles
  std::array<Packed, kLayouts> packed_;
  std::vector<int> layouts_;  // indices of those in use
};

}  // namespace bobby::cpu
