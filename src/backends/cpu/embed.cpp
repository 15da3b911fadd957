#include "backends/cpu/embed.h"

#include <cassert>
#include <cstddef>

#include "tensor/formats/affine.h"

namespace bobby::cpu {
namespace {

void add_lora(const LoraRows& rows, std::int32_t token, float* out) {
  const LoraView& lora = rows.lora->view();
  // DoRA has no place here: its multiplier would be one a token, not one an output.
  assert(!lora.output_multiplier);
  for (std::int64_t o = 0; o < lora.out_features; ++o) {
    float delta = 0.0f;
    for (std::int64_t r = 0; r < lora.rank; ++r)
      delta += lora.b[o * lora.rank + r] * lora.a[r * lora.in_features + token];
    out[o] += rows.scale * delta;
  }
}

}  // namespace

void embed(ThreadPool& pool, const Weight& table, std::span<const std::int32_t> tokens,
           std::span<const LoraRows> lora, Activation out) {
  assert(out.rows == static_cast<std::int64_t>(tokens.size()) && out.cols == table.cols());
  pool.parallel_for(out.rows, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int32_t token = tokens[static_cast<std::size_t>(row)];
      assert(token >= 0 && token < table.rows());
      float* to = out.data + row * out.cols;
      dequantize_row(table.view(), token, to);
      for (const LoraRows& rows : lora) {
        if (row < rows.row_begin || row >= rows.row_begin + rows.row_count) continue;
        assert(rows.lora->view().in_features == table.rows());
        assert(rows.lora->view().out_features == out.cols);
        add_lora(rows, token, to);
      }
    }
  });
}

}  // namespace bobby::cpu
