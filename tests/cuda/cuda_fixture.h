#pragma once

#include <memory>
#include <vector>

#include "backends/cuda/cuda.h"
#include "backends/reference/reference.h"
#include "unit/backends/device_tensor.h"

namespace bobby::test {

/// The CUDA backend under test and the reference. Skips where there is no device.
class CudaFixture : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = make_cuda_backend();
    if (!backend) GTEST_SKIP() << backend.error().to_string();
    cuda_ = *std::move(backend);
  }

  std::unique_ptr<Backend> cuda_;
  std::unique_ptr<Backend> reference_ = make_reference_backend();
  Random random_{7};
};

}  // namespace bobby::test
