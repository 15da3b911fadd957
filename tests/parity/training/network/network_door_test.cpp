// What Network refuses, how it begins, and what it says of its memory.

#include <cmath>
#include <limits>

#include "backends/reference/reference.h"
#include "parity/training/network/network_fixture.h"

namespace bobby::testing {
namespace {

const fs::path kModel =
    fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models/qwen3-bf16-tied/model";  // three blocks

class NetworkDoor : public ::testing::Test {
 protected:
  std::unique_ptr<Network> load(const LoraSettings& lora) {
    return value_of(Network::load(kModel, *backend_, {.lora = lora}));
  }
  std::string refused(const LoraSettings& lora) {
    const auto network = Network::load(kModel, *backend_, {.lora = lora});
    return network ? "" : network.error().to_string();
  }
  static TrainingRows rows() {
    return {.inputs = {1, 2, 3, 4, 5},
            .targets = {2, 3, 4, 5, 6},
            .weights = {0, 1, 1, 0, 1},
            .sequences = {{0, 3, 0}, {3, 2, 1}}};
  }

  std::unique_ptr<Backend> backend_ = value_of(make_cpu_backend({.threads = 2}));
};

void expect_contains(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in: " << text;
}

TEST_F(NetworkDoor, SettingsThatFitNoModuleAreRefusedTogether) {
  expect_contains(refused({.rank = 0,
                           .scale = std::numeric_limits<float>::infinity(),
                           .dropout = 1.0f,
                           .num_layers = 4,
                           .keys = {"self_attn.q_prj", "lm_head"}}),
                  {"rank", "scale", "dropout", "num_layers", "at most 3", "'self_attn.q_prj'",
                   "nearest is 'self_attn.q_proj'", "'lm_head'", "not trained"});
  EXPECT_EQ(refused({.num_layers = 3}), "");
}

TEST_F(NetworkDoor, ABackendThatCannotTrainSaysSo) {
  const auto reference = make_reference_backend();
  const auto network = Network::load(kModel, *reference, {});
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().code, ErrorCode::kUnsupported);
  expect_contains(network.error().to_string(), {"reference", "cannot train"});
}

TEST_F(NetworkDoor, BatchesThatDoNotFitAreRefused) {
  const auto network = load({.num_layers = 1});
  const auto expect_refused = [&](const std::string& part, const auto& change) {
    TrainingRows wrong = rows();
    change(wrong);
    const auto result = network->gradients(wrong);
    ASSERT_FALSE(result) << part;
    expect_contains(result.error().to_string(), {part});
    EXPECT_FALSE(network->loss(wrong));
  };
  expect_refused("one length", [](TrainingRows& wrong) { wrong.targets.pop_back(); });
  expect_refused("one length", [](TrainingRows& wrong) { wrong = {}; });
  expect_refused("a sequence from row 3", [](TrainingRows& wrong) { ++wrong.sequences[1].begin; });
  expect_refused("a sequence from row 3",
                 [](TrainingRows& wrong) { wrong.sequences[1].count = 0; });
  expect_refused("5 rows", [](TrainingRows& wrong) { wrong.sequences[1].count = 3; });
  expect_refused("vocabulary", [](TrainingRows& wrong) { wrong.inputs[2] = 97; });
  expect_refused("vocabulary", [](TrainingRows& wrong) { wrong.targets[0] = -1; });
  expect_refused("context", [](TrainingRows& wrong) {
    wrong.inputs.assign(129, 1);
    wrong.targets.assign(129, 1);
    wrong.weights.assign(129, 1.0f);
    wrong.sequences = {{0, 129, 8}};
  });
  EXPECT_TRUE(network->gradients(rows()));
}

TEST_F(NetworkDoor, TensorsAreNamedAndShapedAsMlxLmSavesThem) {
  const auto network = load({.dora = true, .rank = 2, .num_layers = 1, .keys = {"mlp.up_proj"}});
  const auto& tensors = network->tensors();
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].name, "model.layers.2.mlp.up_proj.lora_a");
  EXPECT_EQ(tensors[1].name, "model.layers.2.mlp.up_proj.lora_b");
  EXPECT_EQ(tensors[2].name, "model.layers.2.mlp.up_proj.m");
  const auto shape = [&](std::size_t i) { return std::pair(tensors[i].rows, tensors[i].cols); };
  EXPECT_EQ(shape(0), std::pair(std::int64_t{40}, std::int64_t{2}));
  EXPECT_EQ(shape(1), std::pair(std::int64_t{2}, std::int64_t{72}));
  EXPECT_EQ(shape(2), std::pair(std::int64_t{1}, std::int64_t{72}));
  for (const float magnitude : tensors[2].value) EXPECT_GT(magnitude, 0.0f);

  // A whole path is taken wherever its block is.
  const auto one = load({.num_layers = 1, .keys = {"model.layers.0.self_attn.k_proj"}});
  EXPECT_EQ(one->tensors()[0].name, "model.layers.0.self_attn.k_proj.lora_a");
}

TEST_F(NetworkDoor, AFreshPairChangesNothing) {
  const double frozen = value_of(load({.num_layers = 1})->loss(rows())).sequence_loss[0];
  for (const bool dora : {false, true}) {
    const auto network = load({.dora = dora, .num_layers = 0});
    // DoRA's multiplier is norm / norm.
    EXPECT_EQ(value_of(network->loss(rows())).sequence_loss[0], frozen);
  }
}

TEST_F(NetworkDoor, GradientsAddUpUntilTheyAreZeroed) {
  const auto network = load({.num_layers = 0});
  for (TrainableTensor& tensor : network->tensors())
    for (std::size_t i = 0; i < tensor.value.size(); ++i)
      tensor.value[i] = 0.01f * static_cast<float>(i % 7);
  value_of(network->upload());
  const auto gradient = [&] {
    value_of(network->download_gradients());
    return network->tensors().front().gradient;
  };
  value_of(network->gradients(rows()));
  const std::vector<float> once = gradient();
  value_of(network->gradients(rows()));
  EXPECT_EQ(network->tensors().front().gradient, once);  // until the sums are asked for
  EXPECT_NE(gradient(), once);
  network->zero_gradients();
  EXPECT_EQ(gradient(), std::vector<float>(once.size(), 0.0f));
  value_of(network->gradients(rows()));
  EXPECT_EQ(gradient(), once);
}

TEST_F(NetworkDoor, RowsWithoutWeightCostNothingAndGiveNothing) {
  const auto network = load({.num_layers = 0});
  TrainingRows all = rows();
  std::ranges::fill(all.weights, 0.0f);
  const RowsLoss loss = value_of(network->gradients(all));
  EXPECT_EQ(loss.sequence_loss, (std::vector<double>{0.0, 0.0}));
  value_of(network->download_gradients());
  for (const TrainableTensor& tensor : network->tensors())
    for (const float number : tensor.gradient) ASSERT_EQ(number, 0.0f) << tensor.name;
}

TEST_F(NetworkDoor, DoraRefusesARowWithoutLength) {
  const auto network = load({.dora = true, .num_layers = 1, .keys = {"mlp.up_proj"}});
  network->tensors()[0].value[0] = std::numeric_limits<float>::infinity();
  network->tensors()[1].value[0] = 1.0f;
  const auto result = network->upload();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNumeric);
  expect_contains(result.error().to_string(), {"model.layers.2.mlp.up_proj", "row 0"});
}

TEST_F(NetworkDoor, MemoryGrowsWithTheBatchAndShrinksWithCheckpointing) {
  const auto memory = [&](bool grad_checkpoint, std::int64_t rows) {
    return value_of(Network::load(kModel, *backend_,
                                  {.lora = {.num_layers = 0}, .grad_checkpoint = grad_checkpoint}))
        ->memory(rows, 64);
  };
  EXPECT_LT(memory(false, 64).activations, memory(false, 512).activations);
  EXPECT_LT(memory(true, 512).activations, memory(false, 512).activations);
  EXPECT_GT(memory(false, 64).weights, 0u);
  EXPECT_GT(memory(false, 64).trained, 0u);
}

}  // namespace
}  // namespace bobby::testing
