#include "lora/delta_norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace bobby {
namespace {

/// The sums over `length` of x[i] * x[j] for rows i, j of `rows`, each `length` long: [rank, rank].
std::vector<double> gram_of_rows(const std::vector<float>& rows, std::size_t rank,
                                 std::size_t length) {
  std::vector<double> gram(rank * rank, 0.0);
  for (std::size_t i = 0; i < rank; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0.0;
      for (std::size_t k = 0; k < length; ++k)
        sum += static_cast<double>(rows[i * length + k]) * rows[j * length + k];
      gram[i * rank + j] = gram[j * rank + i] = sum;
    }
  return gram;
}

/// The same for columns of a [length, rank] matrix.
std::vector<double> gram_of_columns(const std::vector<float>& matrix, std::size_t rank,
                                    std::size_t length) {
  std::vector<double> gram(rank * rank, 0.0);
  for (std::size_t k = 0; k < length; ++k)
    for (std::size_t i = 0; i < rank; ++i)
      for (std::size_t j = 0; j < rank; ++j)
        gram[i * rank + j] += static_cast<double>(matrix[k * rank + i]) * matrix[k * rank + j];
  return gram;
}

}  // namespace

double delta_norm(const AdapterModule& module) {
  const auto rank = static_cast<std::size_t>(module.rank);
  const std::vector<double> of_a =
      gram_of_rows(module.a, rank, static_cast<std::size_t>(module.in_features));
  const std::vector<double> of_b =
      gram_of_columns(module.b, rank, static_cast<std::size_t>(module.out_features));
  double squares = 0.0;
  for (std::size_t i = 0; i < of_a.size(); ++i) squares += of_a[i] * of_b[i];
  // Rounding may leave a sum that is 0 just below it.
  return std::abs(static_cast<double>(module.scale)) * std::sqrt(std::max(squares, 0.0));
}

}  // namespace bobby
