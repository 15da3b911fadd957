#pragma once

#include <map>

#include "backends/mlx/weight.h"

namespace bobby::mlx_backend {

/// load_constant(), each made once: on CUDA, what comes from the host waits for the device.
class Constants {
 public:
  explicit Constants(const Machine& machine) : machine_(machine) {}

  const mx::array& of(float value) {
    auto found = arrays_.find(value);
    if (found == arrays_.end())
      found = arrays_.emplace(value, load_constant(value, machine_)).first;
    return found->second;
  }

 private:
  const Machine& machine_;
  std::map<float, mx::array> arrays_;
};

}  // namespace bobby::mlx_backend
