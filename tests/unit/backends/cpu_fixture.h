#pragma once

#include <cctype>
#include <string>
#include <tuple>

#include "backend_fixture.h"
#include "backends/cpu/cpu.h"
#include "backends/reference/reference.h"

namespace bobby::test {

/// Each test runs on every instruction set of this machine with 1, 2 and 3 threads.
using CpuParam = std::tuple<CpuIsa, int>;

inline std::string cpu_param_name(const testing::TestParamInfo<CpuParam>& info) {
  std::string name(isa_name(std::get<0>(info.param)));
  name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
  return name + "_" + std::to_string(std::get<1>(info.param)) + "threads";
}

inline auto every_cpu() {
  return testing::Combine(testing::ValuesIn(available_isas()), testing::Values(1, 2, 3));
}

/// The CPU backend under test, the reference, and the same kernels on one thread for bits.
class CpuFixture : public testing::TestWithParam<CpuParam> {
 protected:
  static std::unique_ptr<Backend> make(int threads) {
    return make_cpu_backend({.threads = threads, .isa = std::get<0>(GetParam())}).value();
  }

  std::unique_ptr<Backend> cpu_ = make(std::get<1>(GetParam()));
  std::unique_ptr<Backend> alone_ = make(1);
  std::unique_ptr<Backend> reference_ = make_reference_backend();
  Random random_{7};
};

}  // namespace bobby::test
