// What a sequence gives, to its loss and to every gradient, does not depend on its company, on the
// threads, on gradient checkpointing or on the cache of inputs: bit for bit.

#include "parity/training/network/network_fixture.h"

namespace bobby::testing {
namespace {

struct Outcome {
  std::vector<double> losses;
  std::vector<std::vector<float>> gradients;
  bool operator==(const Outcome&) const = default;
};

class NetworkBits : public ::testing::TestWithParam<std::size_t> {
 protected:
  NetworkGolden golden_{NetworkGolden::cases()[GetParam()]};

  /// Losses and summed gradients of batches, one after the other.
  Outcome run(const std::vector<TrainingRows>& batches, int threads, const NetworkOptions& options,
              int repeats = 1) {
    const auto backend = value_of(make_cpu_backend({.threads = threads}));
    const auto network = golden_.network(*backend, options);
    Outcome outcome;
    for (int i = 0; i < repeats; ++i) {
      network->zero_gradients();
      outcome = {};
      for (const TrainingRows& rows : batches) {
        const RowsLoss loss = value_of(network->gradients(rows, 7));
        outcome.losses.insert(outcome.losses.end(), loss.sequence_loss.begin(),
                              loss.sequence_loss.end());
      }
    }
    value_of(network->download_gradients());
    for (const TrainableTensor& tensor : network->tensors())
      outcome.gradients.push_back(tensor.gradient);
    return outcome;
  }

  /// The golden's batch, cut at different sequences' ends.
  std::vector<std::vector<TrainingRows>> cuts() const {
    const TrainingRows all = golden_.rows();
    return {{all},
            {rows_of(all, {0}), rows_of(all, {1}), rows_of(all, {2}), rows_of(all, {3})},
            {rows_of(all, {0, 1}), rows_of(all, {2, 3})},
            {rows_of(all, {0}), rows_of(all, {1, 2, 3})}};
  }
};

TEST_P(NetworkBits, PackingAndThreads) {
  for (const float dropout : {0.0f, 0.25f}) {
    NetworkOptions options = golden_.options();
    options.lora.dropout = dropout;
    const Outcome expected = run({golden_.rows()}, 1, options);
    for (const int threads : {1, 2, 3})
      for (const auto& batches : cuts()) EXPECT_EQ(run(batches, threads, options), expected);
  }
}

TEST_P(NetworkBits, GradientCheckpointing) {
  NetworkOptions options = golden_.options();
  options.lora.dropout = 0.25f;
  const Outcome expected = run({golden_.rows()}, 2, options);
  options.grad_checkpoint = true;
  EXPECT_EQ(run({golden_.rows()}, 2, options), expected);
}

TEST_P(NetworkBits, CacheOfInputs) {
  NetworkOptions options = golden_.options();
  const Outcome expected = run({golden_.rows()}, 2, options);
  for (const std::size_t bytes : {std::size_t{6000}, std::size_t{1} << 20}) {
    options.input_cache_bytes = bytes;
    EXPECT_EQ(run({golden_.rows()}, 2, options, 3), expected);
  }
}

TEST_P(NetworkBits, DropoutChangesWithTheStep) {
  NetworkOptions options = golden_.options();
  options.lora.dropout = 0.5f;
  const auto backend = value_of(make_cpu_backend({.threads = 2}));
  const auto network = golden_.network(*backend, options);
  const TrainingRows rows = golden_.rows();
  const auto at = [&](std::uint64_t step) {
    return value_of(network->gradients(rows, step)).sequence_loss;
  };
  EXPECT_EQ(at(3), at(3));
  EXPECT_NE(at(3), at(4));
  // Validation drops nothing.
  EXPECT_EQ(value_of(network->loss(rows)).sequence_loss, run({rows}, 1, golden_.options()).losses);
}

INSTANTIATE_TEST_SUITE_P(Cpu, NetworkBits,
                         ::testing::Range<std::size_t>(0, NetworkGolden::cases().size()),
                         [](const ::testing::TestParamInfo<std::size_t>& one) {
                           std::string name =
                               NetworkGolden::cases()[one.param].at("name").get<std::string>();
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bobby::testing
