#include <vector>

#include "backends/cpu/ops/vector_portable.h"
#include "backends/cpu/training/kernel_table.h"

namespace bobby::cpu {
namespace {

using Portable = FourLanes<VectorPortable, 6>;

void dequantize_to_double(const WeightTile& tile, double* out, std::int64_t stride) {
  std::vector<float> row(static_cast<std::size_t>(tile.cols));
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    WeightTile one = tile;
    one.row += r;
    one.rows = 1;
    DequantizeBody<Portable>::dequantize(one, row.data(), tile.cols);
    for (std::int64_t i = 0; i < tile.cols; ++i)
      out[r * stride + i] = row[static_cast<std::size_t>(i)];
  }
}

}  // namespace

constinit const TrainingKernels<float> kPortableTraining =
    training_kernels<Portable>(DequantizeBody<Portable>::dequantize);
constinit const TrainingKernels<double> kDoubleTraining =
    training_kernels<VectorDouble>(dequantize_to_double);

}  // namespace bobby::cpu
