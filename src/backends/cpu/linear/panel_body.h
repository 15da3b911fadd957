// Quantised products for several rows of x, included by kernel_body.h. Sixteen rows of the weight,
// a panel, stand in the sixteen lanes of a vector: their bytes are transposed once into scratch and
// cut into fields once for all rows of x of a tile, whose values are broadcast. Each output has its
// own lane, and the sums run in the order that kernels.h states.
//
// V, which then defines BOBBY_PANELS, also offers: kPanelTile (the most rows of x in a tile, even),
// transpose(Words[16], out): 16 x 16 doublewords, bits(F32) as Words, load_panel(words),
// dot_pair(acc, words, x): two values of x times every lane's two words, broadcast(float*),
// store_f(float*, F32), prefetch(bytes).
// With BOBBY_BYTE_WORDS also dot_quad(acc, words, x): four bytes of x times every lane's four.

namespace bobby::cpu {
namespace {

constexpr int kPanelRows = 16;
constexpr int kMinPanelX = 3;  // rows of x from which a panel is faster than row by row
// What the rows of x that all panels of a call are multiplied with may take of the second cache.
constexpr std::int64_t kPanelXBytes = std::int64_t{512} << 10;

// Sixteen rows of the weight in scratch: doublewords [of a row's words][16], then scales and biases
// [groups][16] as fp32.
struct Panel {
  Panel(void* scratch, std::int64_t groups, int lanes_of_group)
      : lanes(lanes_of_group), words(static_cast<std::uint32_t*>(scratch)) {
    scales = reinterpret_cast<float*>(words + (groups * lanes + 15) / 16 * 256);
    biases = scales + padded(groups) * kPanelRows;
  }
  static std::int64_t padded(std::int64_t groups) {
    return (groups + kChunkGroups - 1) / kChunkGroups * kChunkGroups;
  }
  static std::size_t bytes(std::int64_t groups, int lanes_of_group) {
    return (groups * lanes_of_group + 15) / 16 * 1024 + 2 * padded(groups) * kPanelRows * 4;
  }
  int lanes;  // doublewords of a group
  std::uint32_t* words;
  float* scales;
  float* biases;
  int rows = 0;  // of the weight; those up to sixteen are zero
};

template <int kBits, int kGroup>
inline void transpose_words(const QuantArgs& a, const unsigned char* weight, int valid,
                            std::uint32_t* out) {
  using C = Chunk<kBits, kGroup>;
  const std::int64_t row_bytes = a.groups * kGroup * kBits / 8;
  const std::int64_t whole = row_bytes / C::kBlockBytes;
  V::Words rows[kPanelRows];
  for (std::int64_t block = 0; block < whole; ++block) {
    BOBBY_UNROLL(16)
    for (int r = 0; r < kPanelRows; ++r) {
      const unsigned char* bytes = weight + r * a.weight_stride + block * C::kBlockBytes;
      rows[r] = r < valid ? load_block<kBits>(bytes) : V::zero_i();
    }
    V::transpose(rows, out + block * 256);
  }
  if (const std::int64_t left = row_bytes - whole * C::kBlockBytes; left > 0) {
    for (int r = 0; r < kPanelRows; ++r) {
      const unsigned char* bytes = weight + r * a.weight_stride + whole * C::kBlockBytes;
      rows[r] = r < valid ? load_part<kBits>(bytes, static_cast<int>(left)) : V::zero_i();
    }
    V::transpose(rows, out + whole * 256);
  }
}

inline void transpose_scales(const QuantArgs& a, const unsigned char* from, int valid, float* out) {
  const std::size_t size = a.scale_type == kF32 ? 4 : 2;
  V::Words rows[kPanelRows];
  for (std::int64_t g = 0; g < a.groups; g += kChunkGroups) {
    const std::int64_t left = a.groups - g;
    for (int r = 0; r < kPanelRows; ++r) {
      const unsigned char* bytes = from + r * a.scale_stride + g * size;
      if (r >= valid) {
        rows[r] = V::zero_i();
      } else if (left < kChunkGroups) {
        rows[r] = V::bits(load_scales_part(bytes, a.scale_type, static_cast<int>(left)));
      } else {
        rows[r] = V::bits(load_scales(bytes, a.scale_type));
      }
    }
    V::transpose(rows, reinterpret_cast<std::uint32_t*>(out + g * kPanelRows));
  }
}

// Adds fields kIndex, kIndex + 1, ... of one doubleword of each lane. x: the first row's values of
// the first field; the rows are q_stride apart and read through every third one's address, which
// with one stride is all that an instruction needs.
template <class W, int kBits, int kX, int kIndex = 0>
inline void dot_fields(V::I32* acc, V::Words words, const typename W::X* const* x,
                       std::int64_t q_stride) {
  constexpr int kFieldWords = 16 * W::kPerLane;
  const V::Words field = W::template field<kBits, kIndex>(words);
  BOBBY_UNROLL(12)
  for (int m = 0; m < kX; ++m) {
    acc[m] = W::dot_lane(acc[m], field, x[m / 3] + m % 3 * q_stride + kIndex * kFieldWords);
  }
  if constexpr (kIndex + 1 < W::template kFields<kBits>) {
    dot_fields<W, kBits, kX, kIndex + 1>(acc, words, x, q_stride);
  }
}

// One panel times rows [x_row, x_row + kX) of x. `next`: the panel to prefetch meanwhile, or null.
// kField is the width of a field in the panel: 16 for every width that is spread.
template <class W, int kField, int kX>
void panel_tile(const QuantArgs& a, const Panel& panel, std::int64_t row, std::int64_t x_row,
                const unsigned char* next) {
  using X = typename W::X;
  constexpr int kBlockColumns = 16 * W::kPerLane * W::template kFields<kField>;
  const std::int64_t q_stride = a.padded_groups * a.group_size;
  const X* q = static_cast<const X*>(a.q) + x_row * q_stride;
  const float* x_scale = a.x_scale + x_row * a.padded_groups;
  const float* x_sum = a.x_sum + x_row * a.padded_groups;

  alignas(64) float sums[kChunkGroups][kX][kPanelRows];
  __builtin_memset(sums, 0, sizeof sums);
  const std::uint32_t* words = panel.words;
  for (std::int64_t g = 0; g < a.groups; ++g) {
    V::I32 acc[kX];
    BOBBY_UNROLL(12)
    for (int m = 0; m < kX; ++m) acc[m] = V::zero_i();
    const std::int64_t lane = g * panel.lanes;
    const X* first = q + lane / 16 * kBlockColumns + lane % 16 * W::kPerLane;
    const X* x[(kX + 2) / 3];
    for (int i = 0; i < (kX + 2) / 3; ++i) x[i] = first + 3 * i * q_stride;
    for (int d = 0; d < panel.lanes; ++d) {
      dot_fields<W, kField, kX>(acc, V::load_panel(words), x, q_stride);
      words += kPanelRows;
      // After the sixteenth doubleword of a block comes the next block of x.
      const int step = (lane + d) % 16 == 15 ? kBlockColumns - 15 * W::kPerLane : W::kPerLane;
      for (int i = 0; i < (kX + 2) / 3; ++i) x[i] += step;
    }
    if (next != nullptr) {
      // A group's share of the next panel, whose rows lie one after the other.
      const std::int64_t share = kPanelRows * a.group_size * a.bits / 8;
      for (std::int64_t byte = 0; byte < share; byte += 64) V::prefetch(next + g * share + byte);
    }
    const V::F32 scale = V::load_f(panel.scales + g * kPanelRows);
    const V::F32 bias = V::load_f(panel.biases + g * kPanelRows);
    float(*sum)[kPanelRows] = sums[g % kChunkGroups];
    BOBBY_UNROLL(12)
    for (int m = 0; m < kX; ++m) {
      const std::int64_t at = m * a.padded_groups + g;
      V::F32 total = V::load_f(sum[m]);
      total = V::fma(V::mul(scale, V::broadcast(x_scale + at)), V::to_float(acc[m]), total);
      total = V::fma(bias, V::broadcast(x_sum + at), total);
      V::store_f(sum[m], total);
    }
  }
  for (int half = kChunkGroups / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) {
      for (int m = 0; m < kX; ++m) {
        V::store_f(sums[i][m], V::add(V::load_f(sums[i][m]), V::load_f(sums[i + half][m])));
      }
    }
  }
  for (int m = 0; m < kX; ++m) {
    float* out = a.out + (x_row + m) * a.out_stride + row;
    if (panel.rows == kPanelRows) {
      V::store_f(out, V::load_f(sums[0][m]));
    } else {
      for (int r = 0; r < panel.rows; ++r) out[r] = sums[0][m][r];
    }
  }
}

template <class W, int kField, int kX = V::kPanelTile>
inline void panel_tile_of(int x_rows, const QuantArgs& a, const Panel& panel, std::int64_t row,
                          std::int64_t x_row, const unsigned char* next) {
  if constexpr (kX > 2) {
    if (x_rows <= kX - 2) {
      return panel_tile_of<W, kField, kX - 2>(x_rows, a, panel, row, x_row, next);
    }
  }
  panel_tile<W, kField, kX>(a, panel, row, x_row, next);
}

// All rows of the weight times all rows of x, at least kMinPanelX.
template <int kBits, int kGroup, class W>
void panel_products(const QuantArgs& a) {
  using C = Chunk<kBits, kGroup>;
  constexpr int kField = C::kFieldBits;
  Panel panel(a.scratch, a.groups, C::kLanes);
  const std::int64_t x_bytes =
      a.padded_groups * kGroup * static_cast<std::int64_t>(sizeof(typename W::X));
  std::int64_t x_block = kPanelXBytes / x_bytes / V::kPanelTile * V::kPanelTile;
  if (x_block < 2 * V::kPanelTile) x_block = 2 * V::kPanelTile;
  for (std::int64_t x_begin = 0; x_begin < a.x_rows; x_begin += x_block) {
    const std::int64_t x_end = x_begin + x_block < a.x_rows ? x_begin + x_block : a.x_rows;
    for (std::int64_t row = 0; row < a.rows; row += kPanelRows) {
      panel.rows = static_cast<int>(a.rows - row < kPanelRows ? a.rows - row : kPanelRows);
      const unsigned char* weight = a.weight + row * a.weight_stride;
      transpose_words<kBits, kGroup>(a, weight, panel.rows, panel.words);
      transpose_scales(a, a.scales + row * a.scale_stride, panel.rows, panel.scales);
      transpose_scales(a, a.biases + row * a.scale_stride, panel.rows, panel.biases);
      // Weights lie in order: past the last panel of this call begins the next call's first.
      const unsigned char* next = weight + kPanelRows * a.weight_stride;
      bool first = true;
      for (std::int64_t m = x_begin; m < x_end;) {
        // Tiles as even as they can be: 16 rows are 8 and 8, not 12 and 4. A tile has an even
        // number of rows: an odd one left over is multiplied together with the row before it once
        // more.
        const std::int64_t left = x_end - m;
        const std::int64_t tiles = (left + V::kPanelTile - 1) / V::kPanelTile;
        std::int64_t size = (left + tiles - 1) / tiles;
        size += size % 2;
        if (size > left) m > 0 ? --m : size -= 2;
        panel_tile_of<W, kField>(static_cast<int>(size), a, panel, row, m, first ? next : nullptr);
        first = false;
        m += size;
      }
    }
  }
}

}  // namespace
}  // namespace bobby::cpu
