// Loss and every gradient of whole networks against MLX's autograd in fp32
// (tools/oracle/training_network.py), on every instruction set of this machine.

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "parity/training/network/network_fixture.h"

namespace bobby::testing {
namespace {

// Sums of up to 200 products through two or three blocks and back, each rounded to fp32 on both
// sides: sqrt(200 * 10) * 2^-24 is 3e-6.
constexpr double kTolerance = 1e-5;

using Param = std::tuple<CpuIsa, std::size_t>;

class NetworkParity : public ::testing::TestWithParam<Param> {
 protected:
  NetworkGolden golden_{NetworkGolden::cases()[std::get<1>(GetParam())]};
  std::unique_ptr<Backend> backend_ =
      value_of(make_cpu_backend({.threads = 2, .isa = std::get<0>(GetParam())}));
};

double relative_l2(const std::vector<float>& found, const std::vector<float>& expected) {
  if (found.size() != expected.size()) throw std::runtime_error("sizes differ");
  double distance = 0;
  double norm = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    distance += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(distance / norm);
}

void expect_losses(const RowsLoss& found, const std::vector<float>& expected) {
  ASSERT_EQ(found.sequence_loss.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found.sequence_loss[i], expected[i], kTolerance * std::abs(expected[i])) << i;
}

TEST_P(NetworkParity, LossAndGradients) {
  const auto network = golden_.network(*backend_, golden_.options());
  const auto expected_loss = golden_.all<float>("sequence_loss");
  expect_losses(value_of(network->loss(golden_.rows())), expected_loss);
  expect_losses(value_of(network->gradients(golden_.rows())), expected_loss);
  value_of(network->download_gradients());

  ASSERT_EQ(golden_.tensor_count(), 5 + 2 * network->tensors().size());
  double worst = 0;
  for (const TrainableTensor& tensor : network->tensors()) {
    const double distance =
        relative_l2(tensor.gradient, golden_.all<float>("gradient/" + tensor.name));
    EXPECT_LE(distance, kTolerance) << tensor.name;
    worst = std::max(worst, distance);
  }
  std::printf("  worst gradient: relative L2 %.1e\n", worst);
}

INSTANTIATE_TEST_SUITE_P(
    Cpu, NetworkParity,
    ::testing::Combine(::testing::ValuesIn(available_isas()),
                       ::testing::Range<std::size_t>(0, NetworkGolden::cases().size())),
    [](const ::testing::TestParamInfo<Param>& one) {
      std::string name(isa_name(std::get<0>(one.param)));
      name += "_" + NetworkGolden::cases()[std::get<1>(one.param)].at("name").get<std::string>();
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

}  // namespace
}  // namespace bobby::testing
