// Runs of mlx_lm.lora, loss by loss, and the adapters they end with.

#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "backends/cpu/cpu.h"
#include "lora/adapter.h"
#include "training/adapter_writer.h"
#include "training/trained_adapter.h"
#include "training/trainer.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kParity = fs::path(BOBBY_SOURCE_DIR) / "tests/parity";

// The limits: losses within 1e-3; the adapter's change within 1e-2, or three times what
// disturbing the weights by 1e-6 does to mlx-lm's own.
constexpr double kLossLimit = 1e-3;
constexpr double kChangeLimit = 1e-2;
constexpr double kFloors = 3.0;

const Json& cases() {
  static const Json read =
      Json::parse(std::ifstream(kParity / "training_run/cases.json"), nullptr, false);
  return read;
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const Json& golden : cases()) names.push_back(golden["name"]);
  return names;
}

Dataset sequences(const Json& list, std::int64_t max_seq_length) {
  Dataset dataset;
  dataset.file = "golden.jsonl";
  for (const Json& entry : list) {
    TrainingExample example;
    example.tokens = entry[0].get<std::vector<std::int32_t>>();
    example.loss_begin = entry[1];
    example.record = static_cast<std::int64_t>(dataset.examples.size()) + 1;
    example.keys = 2;
    for (TrainingExample& fitted :
         fit_to_length(std::move(example), max_seq_length, OverLong::kTruncate))
      dataset.examples.push_back(std::move(fitted));
  }
  return dataset;
}

class TrainingRunParity : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (const Json& golden : cases())
      if (golden["name"] == GetParam()) golden_ = golden;
    folder_ = fs::path(testing::TempDir()) / ("training_run_" + GetParam());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Json golden_;
  fs::path folder_;
};

void expect_close(const Json& expected, const std::vector<MetricsRow>& found,
                  std::optional<double> MetricsRow::*loss) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].iteration, expected[i][0]);
    const double there = expected[i][1];
    EXPECT_NEAR(*(found[i].*loss), there, kLossLimit * there) << "report " << i;
  }
}

double change_distance(const std::vector<TrainableTensor>& found,
                       const std::vector<TrainableTensor>& expected,
                       const std::vector<TrainableTensor>& initial) {
  double difference = 0.0, change = 0.0;
  for (std::size_t t = 0; t < found.size(); ++t)
    for (std::size_t i = 0; i < found[t].value.size(); ++i) {
      const double there = expected[t].value[i];
      difference += (found[t].value[i] - there) * (found[t].value[i] - there);
      change += (there - initial[t].value[i]) * (there - initial[t].value[i]);
    }
  return std::sqrt(difference / change);
}

TEST_P(TrainingRunParity, LossesAndAdapterAreMlxLms) {
  Json settings = golden_["settings"];
  settings["compat"] = "mlx";
  settings["data"] = "golden";
  const auto config = parse_training_config(settings.dump(), "golden");
  ASSERT_TRUE(config) << config.error().to_string();
  const auto backend = make_cpu_backend({.threads = 2});
  ASSERT_TRUE(backend);
  const fs::path model = kParity / "models" / golden_["model"].get<std::string>() / "model";
  auto network = Network::load(model, **backend, {.lora = lora_settings(*config)});
  ASSERT_TRUE(network) << network.error().to_string();
  const TrainingData data{sequences(golden_["train"], config->max_seq_length),
                          sequences(golden_["valid"], config->max_seq_length)};
  std::vector<MetricsRow> train, validation;
  TrainingWatch watch;
  watch.on_report = [&](const MetricsRow& row) {
    (row.val_loss ? validation : train).push_back(row);
  };
  auto trainer = Trainer::begin({.config = &*config,
                                 .network = network->get(),
                                 .data = &data,
                                 .folder = folder_,
                                 .identity = {},
                                 .texts = {mlx_lm_arguments(*config), "{}\n"}},
                                watch);
  ASSERT_TRUE(trainer) << trainer.error().to_string();
  const std::vector<TrainableTensor> initial = (*network)->tensors();
  const auto outcome = (*trainer)->run();
  ASSERT_TRUE(outcome) << outcome.error().to_string();

  expect_close(golden_["train_reports"], train, &MetricsRow::train_loss);
  expect_close(golden_["val_reports"], validation, &MetricsRow::val_loss);
  for (std::size_t i = 0; i < train.size(); ++i) {
    EXPECT_EQ(static_cast<float>(train[i].learning_rate),
              golden_["train_reports"][i][2].get<float>());
    EXPECT_EQ(train[i].tokens, golden_["train_reports"][i][3]);
  }
  std::vector<TrainableTensor> expected = initial;
  const auto read =
      read_adapter_tensors(kParity / "training_run" / (GetParam() + ".safetensors"), expected);
  ASSERT_TRUE(read) << read.error().to_string();
  const double distance = change_distance((*network)->tensors(), expected, initial);
  const double limit = std::max(kChangeLimit, kFloors * golden_["noise_floor"].get<double>());
  EXPECT_LE(distance, limit);
  RecordProperty("distance", std::to_string(distance));

  // What was written is what serving reads.
  const auto adapter = load_adapter(folder_);
  ASSERT_TRUE(adapter) << adapter.error().to_string();
  const Adapter live = trained_adapter(*config, (*network)->tensors());
  ASSERT_EQ(adapter->modules.size(), live.modules.size());
  for (std::size_t i = 0; i < live.modules.size(); ++i) {
    EXPECT_EQ(adapter->modules[i].path, live.modules[i].path);
    EXPECT_EQ(adapter->modules[i].a, live.modules[i].a);
    EXPECT_EQ(adapter->modules[i].b, live.modules[i].b);
    EXPECT_EQ(adapter->modules[i].magnitude, live.modules[i].magnitude);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TrainingRunParity, testing::ValuesIn(case_names()),
                         [](const auto& golden) {
                           std::string name = golden.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace bobby
