// Whole networks on a device against the same on the CPU: losses, gradients, and that packing
// changes no bit.

#include <cmath>
#include <cstdio>

#include "backends/cuda/cuda.h"
#include "parity/training/network/network_fixture.h"

namespace bobby::testing {
namespace {

// Products of bf16 through two or three blocks and back; the worst tensor of a tiny model.
constexpr double kLossTolerance = 5e-3;
constexpr double kGradientTolerance = 7e-2;

struct Outcome {
  std::vector<double> losses;
  std::vector<std::vector<float>> gradients;
  bool operator==(const Outcome&) const = default;
};

class CudaTrainingNetwork : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    auto backend = make_cuda_backend();
    if (!backend) GTEST_SKIP() << backend.error().to_string();
    cuda_ = *std::move(backend);
  }
  Outcome run(Backend& backend, const std::vector<TrainingRows>& batches,
              const NetworkOptions& options) {
    const auto network = golden_.network(backend, options);
    network->zero_gradients();
    Outcome outcome;
    for (const TrainingRows& rows : batches) {
      const RowsLoss loss = value_of(network->gradients(rows, 7));
      outcome.losses.insert(outcome.losses.end(), loss.sequence_loss.begin(),
                            loss.sequence_loss.end());
    }
    value_of(network->download_gradients());
    for (const TrainableTensor& tensor : network->tensors())
      outcome.gradients.push_back(tensor.gradient);
    return outcome;
  }

  NetworkGolden golden_{NetworkGolden::cases()[GetParam()]};
  std::unique_ptr<Backend> cuda_;
};

double relative_l2(const std::vector<float>& found, const std::vector<float>& expected) {
  double distance = 0;
  double norm = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    distance += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  return norm > 0 ? std::sqrt(distance / norm) : std::sqrt(distance);
}

TEST_P(CudaTrainingNetwork, AsTheCpu) {
  const auto cpu = value_of(make_cpu_backend({.threads = 2}));
  for (const float dropout : {0.0f, 0.25f}) {
    NetworkOptions options = golden_.options();
    options.lora.dropout = dropout;
    const Outcome expected = run(*cpu, {golden_.rows()}, options);
    const Outcome found = run(*cuda_, {golden_.rows()}, options);
    double worst_loss = 0;
    for (std::size_t i = 0; i < expected.losses.size(); ++i)
      worst_loss = std::max(worst_loss, std::abs(found.losses[i] / expected.losses[i] - 1.0));
    double worst = 0;
    for (std::size_t i = 0; i < expected.gradients.size(); ++i)
      worst = std::max(worst, relative_l2(found.gradients[i], expected.gradients[i]));
    EXPECT_LE(worst_loss, kLossTolerance);
    EXPECT_LE(worst, kGradientTolerance);
    std::printf("  dropout %.2f: losses %.1e, worst gradient %.1e\n", static_cast<double>(dropout),
                worst_loss, worst);
  }
}

TEST_P(CudaTrainingNetwork, PackedAsAlone) {
  NetworkOptions options = golden_.options();
  options.lora.dropout = 0.25f;
  const TrainingRows all = golden_.rows();
  const Outcome expected = run(*cuda_, {all}, options);
  EXPECT_EQ(run(*cuda_, {rows_of(all, {0}), rows_of(all, {1, 2}), rows_of(all, {3})}, options),
            expected);
  options.grad_checkpoint = true;
  EXPECT_EQ(run(*cuda_, {all}, options), expected);
}

INSTANTIATE_TEST_SUITE_P(Cuda, CudaTrainingNetwork,
                         ::testing::Range<std::size_t>(0, NetworkGolden::cases().size()),
                         [](const ::testing::TestParamInfo<std::size_t>& one) {
                           std::string name =
                               NetworkGolden::cases()[one.param].at("name").get<std::string>();
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bobby::testing
