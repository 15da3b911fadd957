#pragma once

#include <memory>
#include <string>

#include "backends/mlx/mlx.h"
#include "backends/reference/reference.h"
#include "unit/backends/device_tensor.h"

namespace bobby::test {

/// The MLX backend on the device that this MLX has, and the reference. The parameter: the ways that
/// CUDA asks for, which are the same arithmetic anywhere.
class MlxFixture : public testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<Backend> mlx_ = make_mlx_backend({.as_on_cuda = GetParam()}).value();
  std::unique_ptr<Backend> reference_ = make_reference_backend();
  Random random_{7};
};

inline std::string way_name(const testing::TestParamInfo<bool>& way) {
  return way.param ? "AsOnCuda" : "AsItIs";
}

}  // namespace bobby::test
