#pragma once

// The kernels of training, one table for each instruction set; in double as well, one number at a
// time, so that finite differences test the very code that trains. Each function works on what it
// is given alone and sums in one fixed order: who calls it, and with what beside it, cannot change
// a bit. The products' order is the same for all instruction sets that fuse multiply and add.

#include <cstddef>
#include <cstdint>

namespace bobby::cpu {

/// Columns of a packed panel, whatever the vectors' length.
inline constexpr std::int64_t kPanelCols = 32;
/// Numbers that a product sums in one go along the depth; sums of such blocks are added in order.
inline constexpr std::int64_t kDepthBlock = 768;

/// c = a b, or c += a b, over [rows, depth] and [depth, cols].
template <typename T>
struct Product {
  const T* a = nullptr;  ///< element (row, k) at a[row * a_row_stride + k * a_depth_stride]
  std::int64_t a_row_stride = 0;
  std::int64_t a_depth_stride = 1;
  const T* b = nullptr;  ///< element (k, col) at b[k * b_stride + col]
  std::int64_t b_stride = 0;
  T* c = nullptr;  ///< element (row, col) at c[row * c_stride + col]
  std::int64_t c_stride = 0;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t depth = 0;
  bool add = false;
};

/// How a weight's rows lie: a WeightView in plain words, for files that may include nothing.
struct WeightRows {
  enum class Element : std::uint8_t { kF32, kF16, kBf16 };
  const std::byte* weight = nullptr;
  const std::byte* scales = nullptr;  ///< null: dense
  const std::byte* biases = nullptr;
  std::size_t weight_row_bytes = 0;
  std::size_t scales_row_bytes = 0;
  Element element = Element::kF32;  ///< of a dense weight, or of scales and biases
  int bits = 0;
  int group_size = 0;
};

/// Rows [row, row + rows), columns [col, col + cols) of a weight. Affine: col is a multiple of 32,
/// and so is cols, unless the weight's last column is in it (columns come in whole groups).
struct WeightTile {
  WeightRows from = {};
  std::int64_t row = 0;
  std::int64_t rows = 0;
  std::int64_t col = 0;
  std::int64_t cols = 0;
};

template <typename T>
struct TrainingKernels {
  void (*multiply)(const Product<T>& product);
  /// out[k * kPanelCols + row] = from[row * stride + k] for `rows` <= kPanelCols rows.
  void (*pack_transposed)(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t depth,
                          T* out);
  /// The tile in T: out[row * stride + col]. Affine numbers are scale * q + bias in fp32, rounded
  /// after each of the two, as dequantize_row() has it; then widened.
  void (*dequantize)(const WeightTile& tile, T* out, std::int64_t stride);

  /// out = x / sqrt(mean(x^2) + eps) * weight.
  void (*rms_norm)(const T* x, const T* weight, std::int64_t cols, T eps, T* out);
  /// x_gradient += what out_gradient means for x.
  void (*rms_norm_backward)(const T* x, const T* weight, const T* out_gradient, std::int64_t cols,
                            T eps, T* x_gradient);
  /// Rotates the pairs (i, i + half) of one head, [2 * half]; `direction` is 1 or -1 (back).
  void (*rotate)(const T* head, const T* cosines, const T* sines, T direction, std::int64_t half,
                 T* out);
  /// out = silu(gate) * up.
  void (*swiglu)(const T* gate, const T* up, std::int64_t count, T* out);
  /// May be in place: gate_gradient or up_gradient may be out_gradient.
  void (*swiglu_backward)(const T* gate, const T* up, const T* out_gradient, std::int64_t count,
                          T* gate_gradient, T* up_gradient);
  /// x = e^(scale * x - largest of scale * x); returns the sum, and that largest in `largest`.
  T (*exponentials)(T* x, std::int64_t count, T scale, T* largest);
  /// x *= factor.
  void (*scale)(T* x, std::int64_t count, T factor);
  /// x += y.
  void (*add)(T* x, const T* y, std::int64_t count);
  /// x *= y.
  void (*multiply_by)(T* x, const T* y, std::int64_t count);
  /// The sum of x * y.
  T (*dot)(const T* x, const T* y, std::int64_t count);
  /// gradient = scale * weights * (gradient - dot(weights, gradient)): softmax's backward.
  void (*softmax_backward)(const T* weights, std::int64_t count, T scale, T* gradient);
};

extern const TrainingKernels<double> kDoubleTraining;
extern const TrainingKernels<float> kPortableTraining;
#if defined(__x86_64__)
extern const TrainingKernels<float> kAvx2Training;
extern const TrainingKernels<float> kAvx512Training;
#elif defined(__aarch64__)
extern const TrainingKernels<float> kNeonTraining;
#endif

}  // namespace bobby::cpu
