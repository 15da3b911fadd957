#include "backends/mlx/weight.h"

#include <span>
#include <vector>

#include "backends/mlx/joined_weights.h"

namespace bobby::mlx_backend {
namespace {

constexpr std::size_t kPage = 16384;          // Apple silicon's
constexpr std::size_t kWorthMapping = 65536;  // bytes

mx::Dtype dtype_of(DType dtype) {
  switch (dtype) {
    case DType::kF16: return mx::float16;
    case DType::kBF16: return mx::bfloat16;
    default: return mx::float32;
  }
}

/// The memory of a file that Metal may read in place: whole pages, of which the tensor is a part.
/// The checkpoint stays mapped for as long as its weights live.
mx::array mapped(const std::byte* data, std::size_t bytes, const mx::Shape& shape,
                 const Machine& machine) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t page = address / kPage * kPage;
  const std::size_t length = (address - page + bytes + kPage - 1) / kPage * kPage;
  const mx::array pages(reinterpret_cast<void*>(page), {static_cast<int>(length / 4)}, mx::uint32,
                        [](void*) {});
  const int begin = static_cast<int>((address - page) / 4);
  return mx::reshape(mx::slice(pages, mx::Shape{begin},
                               mx::Shape{begin + static_cast<int>(bytes / 4)}, machine.stream),
                     shape, machine.stream);
}

/// Where the machine computes. What comes from the host MLX puts into memory that host and device
/// share; what an operation makes lies on the device.
mx::array on_machine(const mx::array& host, const Machine& machine) {
  if (!machine.cuda) return host;
  mx::array there = mx::add(host, mx::array(0, host.dtype()), machine.stream);
  mx::eval(there);
  return there;
}

/// A copy; the file need not be aligned.
mx::array copied(const std::byte* data, mx::Shape shape, mx::Dtype dtype, const Machine& machine) {
  const mx::array host(const_cast<std::byte*>(data), std::move(shape), dtype, [](void*) {});
  return on_machine(host, machine);
}

mx::array to_float(const mx::array& values, const Machine& machine) {
  return mx::astype(values, mx::float32, machine.stream);
}

}  // namespace

MlxWeight::MlxWeight(const WeightView& view, Matrix matrix, std::weak_ptr<JoinedWeights> joined,
                     const Machine& machine)
    : Weight(view), id_(new_id()), matrix_(std::move(matrix)), joined_(std::move(joined)) {
  if (view.rows != 1 || matrix_.scales) return;
  vector_ = mx::reshape(matrix_.weight, {size_of(view.cols)}, machine.stream);
  mx::eval(*vector_);
}

MlxWeight::~MlxWeight() {
  if (const auto joined = joined_.lock()) joined->forget(id_);
}

Matrix load_matrix(const WeightView& view, const Machine& machine) {
  const int rows = size_of(view.rows);
  if (view.format.kind == WeightFormat::Kind::kDense) {
    Matrix matrix{to_float(
        copied(view.weight, {rows, size_of(view.cols)}, dtype_of(view.format.dtype), machine),
        machine)};
    mx::eval(matrix.weight);
    return matrix;
  }
  const std::size_t bytes = view.weight_row_bytes() * static_cast<std::size_t>(view.rows);
  const mx::Shape packed = {rows, static_cast<int>(view.weight_row_bytes() / 4)};
  const mx::Shape groups = {rows, size_of(view.cols / view.format.group_size)};
  const bool in_place = machine.metal && bytes >= kWorthMapping &&
                        reinterpret_cast<std::uintptr_t>(view.weight) % 4 == 0;
  const mx::Dtype dtype = dtype_of(view.format.dtype);
  Matrix matrix{in_place ? mapped(view.weight, bytes, packed, machine)
                         : copied(view.weight, packed, mx::uint32, machine),
                to_float(copied(view.scales, groups, dtype, machine), machine),
                to_float(copied(view.biases, groups, dtype, machine), machine)};
  mx::eval(matrix.weight, *matrix.scales, *matrix.biases);
  if (machine.cuda) mx::clear_cache();  // what the copies went through
  return matrix;
}

mx::array load_floats(const float* values, mx::Shape shape, const Machine& machine) {
  return on_machine(mx::array(values, std::move(shape), mx::float32), machine);
}

mx::array load_integers(const std::vector<std::int32_t>& values, mx::Shape shape,
                        const Machine& machine) {
  return on_machine(mx::array(values.data(), std::move(shape), mx::int32), machine);
}

mx::array load_constant(float value, const Machine& machine) {
  const std::vector<float> values(16, value);
  return load_floats(values.data(), {16}, machine);
}

Matrix stack(std::span<const Matrix* const> matrices, const Machine& machine) {
  std::vector<mx::array> weights, scales, biases;
  for (const Matrix* matrix : matrices) {
    weights.push_back(matrix->weight);
    scales.push_back(*matrix->scales);
    biases.push_back(*matrix->biases);
  }
  Matrix stacked{mx::concatenate(weights, 0, machine.stream),
                 mx::concatenate(scales, 0, machine.stream),
                 mx::concatenate(biases, 0, machine.stream)};
  mx::eval(stacked.weight, *stacked.scales, *stacked.biases);
  return stacked;
}

Matrix rows_of(const Matrix& matrix, std::int64_t begin, std::int64_t count,
               const Machine& machine) {
  const auto part = [&](const mx::array& values) {
    return mx::slice(values, mx::Shape{size_of(begin), 0},
                     mx::Shape{size_of(begin + count), values.shape(1)}, machine.stream);
  };
  Matrix rows{part(matrix.weight), part(*matrix.scales), part(*matrix.biases)};
  mx::eval(rows.weight, *rows.scales, *rows.biases);
  return rows;
}

}  // namespace bobby::mlx_backend
