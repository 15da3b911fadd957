// Tokens, loss masks and the order of batches against mlx-lm's own.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "training/batches.h"
#include "training/dataset.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
const fs::path kGoldens = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/training/data";

Json golden(const std::string& name) {
  std::ifstream stream(kGoldens / name);
  return Json::parse(stream);
}

// Every run of a model: "chat", "chat.masked", ... `same` compares an example with mlx-lm's.
template <typename Same>
void expect_runs(const fs::path& folder, const Json& files, const Json& runs, Same same) {
  const auto tokenizer = Tokenizer::from_file(folder / "tokenizer.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  const auto facts = read_tokenizer_facts(folder, *tokenizer);
  ASSERT_TRUE(facts) << facts.error().to_string();
  int compared = 0;
  for (const auto& [run, expected] : runs.items()) {
    EncodingOptions options{.compat_mlx = true, .features = {}, .form = {}, .facts = *facts};
    options.mask_prompt = run.ends_with(".masked");
    const Json& records = files.at(run.substr(0, run.find('.')));
    ASSERT_EQ(records.size(), expected.size());
    const auto encoder = RecordEncoder::make(*tokenizer, options);
    EXPECT_EQ(encoder->template_note(), "");
    for (std::size_t i = 0; i < records.size(); ++i) {
      SCOPED_TRACE(run + " " + records[i].dump());
      const auto example = encoder->encode(records[i].dump(), "here");
      EXPECT_EQ(example.has_value(), !expected[i].is_null())
          << (example ? "mlx-lm fails" : example.error().to_string());
      if (!example || expected[i].is_null()) continue;
      same(*example, expected[i]);
      EXPECT_EQ(example->keys, static_cast<std::int64_t>(records[i].size()));
      ++compared;
    }
  }
  EXPECT_GE(compared, 30);
}

class SmallModels : public ::testing::TestWithParam<const char*> {};

TEST_P(SmallModels, TokensAndOffsetsAreMlxLms) {
  const Json all = golden("records.json");
  const Json& model = all["models"][GetParam()];
  const fs::path folder = fs::temp_directory_path() / ("bobby_training_" + std::string(GetParam()));
  fs::remove_all(folder);
  fs::create_directories(folder);
  fs::copy(fs::path(BOBBY_SOURCE_DIR) / "tests/parity/tokenizer/goldens" /
               model["tokenizer"].get<std::string>(),
           folder / "tokenizer.json");
  std::ofstream(folder / "tokenizer_config.json") << model["config"].dump();
  expect_runs(folder, all["files"], model["runs"],
              [](const TrainingExample& example, const Json& expected) {
                EXPECT_EQ(example.tokens, expected[0].get<std::vector<std::int32_t>>());
                EXPECT_EQ(example.loss_begin, expected[1].get<std::int64_t>());
              });
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Compat, SmallModels, ::testing::Values("qwen3", "smollm2", "llama3"),
                         [](const auto& each) { return std::string(each.param); });

void expect_real(const fs::path& folder, const std::string& name) {
  const Json all = golden("records.json");
  expect_runs(folder, all["files"], all["real"][name],
              [](const TrainingExample& example, const Json& expected) {
                std::string ids;
                for (const std::int32_t id : example.tokens)
                  ids += (ids.empty() ? "" : ",") + std::to_string(id);
                EXPECT_EQ(example.length(), expected[1].get<std::int64_t>());
                EXPECT_EQ(sha256_hex(std::as_bytes(std::span(ids))).substr(0, 12), expected[0]);
                EXPECT_EQ(example.loss_begin, expected[2].get<std::int64_t>());
              });
}

TEST(RealModels, Qwen3sTokensAreMlxLms) {
  const char* set = std::getenv("BOBBY_QWEN3_TOKENIZER");
  const fs::path file =
      set != nullptr ? fs::path(set)
                     : fs::path(BOBBY_SOURCE_DIR) / "../shared/data/qwen3-tokenizer/tokenizer.json";
  if (!fs::exists(file.parent_path() / "tokenizer_config.json"))
    GTEST_SKIP() << "set BOBBY_QWEN3_TOKENIZER to Qwen3's tokenizer.json (no " << file << ")";
  expect_real(file.parent_path(), "qwen3");
}

TEST(RealModels, TheDemoModelsTokensAreMlxLms) {
  const char* set = std::getenv("BOBBY_DEMO_MODEL");
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  const fs::path shared =
      data != nullptr ? fs::path(data) : fs::path(home != nullptr ? home : "/") / ".local/share";
  const fs::path folder = set != nullptr ? fs::path(set) : shared / "bobby/models/demo";
  if (!fs::exists(folder / "tokenizer.json"))
    GTEST_SKIP() << "no demo model at " << folder << ": run tools/demo_model.sh";
  expect_real(folder, "demo");
}

std::vector<TrainingExample> examples_of(const Json& part) {
  std::vector<TrainingExample> examples;
  if (part.is_null()) return examples;
  for (std::size_t i = 0; i < part[0].size(); ++i) {
    TrainingExample example;
    example.tokens.assign(part[0][i].get<std::size_t>(), 7);
    example.loss_begin = std::min<std::int64_t>(3, example.length());
    example.keys = part[1][i];
    examples.push_back(std::move(example));
  }
  return examples;
}

// One batch as mlx-lm made it: the examples, their padded length, and which targets are trained.
void expect_event(const Json& event, bool training, const Batch& batch,
                  const std::vector<TrainingExample>& examples, std::int64_t max_seq_length) {
  ASSERT_EQ(event["training"].get<bool>(), training);
  ASSERT_EQ(event["examples"].get<Batch>(), batch);
  std::vector<std::int64_t> lengths;
  std::vector<TrainingExample> cut;
  for (const std::int64_t i : batch) {
    cut.push_back(
        fit_to_length(examples[static_cast<std::size_t>(i)], max_seq_length, OverLong::kTruncate)
            .front());
    lengths.push_back(cut.back().length());
  }
  EXPECT_EQ(event["lengths"].get<std::vector<std::int64_t>>(), lengths);
  const std::int64_t padded = mlx_padded_length(lengths, max_seq_length);
  EXPECT_EQ(event["padded"].get<std::int64_t>(), padded);
  for (std::size_t row = 0; row < cut.size(); ++row) {
    // mlx-lm's mask: steps 1 .. padded - 1, of which offset <= step <= length count.
    std::int64_t expected = 0;
    for (std::int64_t step = 1; step < padded; ++step)
      expected += step >= event["offsets"][row].get<std::int64_t>() && step <= lengths[row];
    EXPECT_EQ(example_rows(cut[row], padded).trained_rows, expected);
  }
}

TEST(BatchOrder, CompatIsMlxLmsToTheLastDraw) {
  for (const Json& run : golden("orders.json")) {
    SCOPED_TRACE(run["seed"].dump());
    const auto training = examples_of(run["training"]), validation = examples_of(run["validation"]);
    auto order =
        BatchOrder::make({.compat_mlx = true, .seed = run["seed"], .batch_size = run["batch_size"]},
                         training, validation);
    ASSERT_TRUE(order) << order.error().to_string();
    const std::int64_t iters = run["iters"], eval = run["steps_per_eval"];
    const std::int64_t limit = run["max_seq_length"];
    std::size_t event = 0;
    for (std::int64_t it = 1; it <= iters; ++it) {
      const Batch batch = (*order)->next_training();
      expect_event(run["events"].at(event++), true, batch, training, limit);
      if (!validation.empty() && (it == 1 || it % eval == 0 || it == iters))
        for (const Batch& each : (*order)->next_validation(run["val_batches"]))
          expect_event(run["events"].at(event++), false, each, validation, limit);
      // Going on from a saved position is going on.
      auto again = BatchOrder::make(
          {.compat_mlx = true, .seed = 1, .batch_size = run["batch_size"]}, training, validation);
      ASSERT_TRUE((*again)->restore((*order)->position()));
      order = std::move(again);
    }
    EXPECT_EQ(event, run["events"].size());
  }
}

}  // namespace
}  // namespace bobby
