#pragma once

#include <memory>

#include "backends/mlx/mlx.h"
#include "backends/reference/reference.h"
#include "unit/backends/device_tensor.h"

namespace bobby::test {

/// The MLX backend on the device that this MLX has, and the reference.
class MlxFixture : public testing::Test {
 protected:
  std::unique_ptr<Backend> mlx_ = make_mlx_backend().value();
  std::unique_ptr<Backend> reference_ = make_reference_backend();
  Random random_{7};
};

}  // namespace bobby::test
