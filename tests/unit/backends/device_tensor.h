#pragma once

#include <memory>
#include <numeric>
#include <vector>

#include "unit/backends/backend_fixture.h"

namespace bobby::test {

/// An activation in a backend's own memory, filled through the seam alone: as rows of a dense fp32
/// table, which embed() copies as they are.
class DeviceTensor {
 public:
  DeviceTensor(Backend& backend, std::int64_t rows, std::int64_t cols)
      : buffer_(backend.allocate(static_cast<std::size_t>(rows * cols) * sizeof(float)).value()),
        activation_{static_cast<float*>(buffer_->data()), rows, cols} {}
  DeviceTensor(Backend& backend, std::int64_t rows, std::int64_t cols,
               const std::vector<float>& values)
      : DeviceTensor(backend, rows, cols) {
    EXPECT_EQ(values.size(), static_cast<std::size_t>(rows * cols));
    const WeightView view{.name = "test.values",
                          .format = dense(DType::kF32),
                          .rows = rows,
                          .cols = cols,
                          .weight = reinterpret_cast<const std::byte*>(values.data())};
    const auto table = backend.load_weight(view).value();
    std::vector<std::int32_t> every(static_cast<std::size_t>(rows));
    std::iota(every.begin(), every.end(), 0);
    backend.embed(*table, every, {}, activation_);
    EXPECT_TRUE(backend.sync());
  }

  operator Activation() const { return activation_; }  // NOLINT(google-explicit-constructor)
  std::vector<float> values(Backend& backend) const {
    std::vector<float> host(static_cast<std::size_t>(activation_.rows * activation_.cols));
    const auto copied = backend.copy_out(activation_, host);
    EXPECT_TRUE(copied) << copied.error().to_string();
    return host;
  }

 private:
  std::unique_ptr<Buffer> buffer_;
  Activation activation_;
};

}  // namespace bobby::test
