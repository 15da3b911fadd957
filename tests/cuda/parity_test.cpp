// Every tiny model of the oracle, with each of its adapters, on a CUDA device against mlx-lm in
// fp32 (tools/oracle/tiny_models.py): as tests/parity/models does for the other backends.

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

#include "backends/cuda/cuda.h"
#include "parity/models/model_runner.h"
#include "safetensors/safetensors.h"

namespace bobby::testing {
namespace {

namespace fs = std::filesystem;
const fs::path kGoldens = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models";
constexpr double kPromised = 1e-3;  // the bound that the project promises for any backend

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGoldens))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class CudaParity : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (auto backend = make_cuda_backend(); !backend) GTEST_SKIP() << backend.error().to_string();
    file_.emplace(*safetensors::File::open(folder_ / "golden.safetensors"));
    std::ifstream stream(folder_ / "cases.json");
    cases_ = nlohmann::json::parse(stream);
  }

  ModelRunner runner(KvFormat format = KvFormat::kF32) const {
    return ModelRunner(folder_ / "model", value_of(make_cuda_backend()), format);
  }
  std::vector<AdapterUse> adapters(Model& model, const nlohmann::json& one) {
    std::vector<AdapterUse> uses;
    for (const auto& use : one.at("adapters")) {
      const std::string name = use.at("folder");
      if (!attached_.contains(name)) attached_[name] = attach(model, folder_ / "adapters" / name);
      uses.push_back({attached_[name], use.at("factor").get<float>()});
    }
    return uses;
  }
  template <typename T>
  std::vector<T> golden(const std::string& name) const {
    const safetensors::Tensor* tensor = file_->find(name);
    if (!tensor) throw std::runtime_error("golden has no " + name);
    const auto view = std::move(*tensor->as<T>());
    return {view.begin(), view.end()};
  }
  Tokens prompt(const std::string& case_name, int n) const {
    return golden<std::int32_t>(n == 7 ? case_name + "/prompt_7" : "prompt_" + std::to_string(n));
  }

  fs::path folder_ = kGoldens / GetParam();
  std::optional<safetensors::File> file_;
  nlohmann::json cases_;
  std::map<std::string, std::shared_ptr<const AttachedAdapter>> attached_;
};

TEST_P(CudaParity, LogitsOfEveryCase) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16}) {
    ModelRunner runner = this->runner(format);
    attached_.clear();
    for (const auto& one : cases_) {
      const std::string name = one.at("name");
      for (const int n : {1, 7, 37}) {
        Sequence sequence = runner.sequence(adapters(runner.model(), one));
        const auto found = runner.logits(sequence, prompt(name, n));
        const double distance =
            relative_l2(found, golden<float>(name + "/logits_" + std::to_string(n)));
        std::printf("  %-24s %2d tokens: relative L2 %.1e\n", name.c_str(), n, distance);
        EXPECT_LE(distance, kPromised) << name << ", " << n << " tokens";
      }
    }
    attached_.clear();
  }
}

TEST_P(CudaParity, GreedyTextOfEveryCase) {
  ModelRunner runner = this->runner();
  for (const auto& one : cases_) {
    const std::string name = one.at("name");
    const Tokens expected = golden<std::int32_t>(name + "/greedy");
    Sequence sequence = runner.sequence(adapters(runner.model(), one));
    EXPECT_EQ(runner.greedy(sequence, prompt(name, 7), expected.size()), expected) << name;
  }
  attached_.clear();
}

TEST_P(CudaParity, PrefillInChunksIsPrefillInOneGo) {
  ModelRunner runner = this->runner();
  const auto& one = cases_.back();
  const Tokens tokens = golden<std::int32_t>("prompt_37");
  Sequence whole = runner.sequence(adapters(runner.model(), one));
  const auto expected = runner.logits(whole, tokens);
  for (const std::size_t chunk : {1u, 5u, 32u}) {
    Sequence sequence = runner.sequence(adapters(runner.model(), one), 1);
    EXPECT_EQ(runner.logits(sequence, tokens, chunk), expected) << "chunks of " << chunk;
  }
  attached_.clear();
}

/// A decoding row of every case in one step: each comes out, bit for bit, as it does alone.
TEST_P(CudaParity, MixedBatchIsEachAlone) {
  ModelRunner runner = this->runner();
  const Tokens tokens = golden<std::int32_t>("prompt_37");
  const std::size_t count = std::min<std::size_t>(cases_.size(), ModelRunner::kSequences);
  std::vector<float> expected;
  std::vector<Sequence> sequences;
  for (std::size_t i = 0; i < count; ++i) {
    const auto uses = adapters(runner.model(), cases_[i]);
    Sequence single = runner.sequence(uses, static_cast<std::int64_t>(i));
    runner.logits(single, std::span(tokens).first(8));
    const auto alone = runner.logits(single, std::span(tokens).subspan(8, 1 + i));
    expected.insert(expected.end(), alone.begin(), alone.end());
    Sequence batched = runner.sequence(uses, static_cast<std::int64_t>(i));
    runner.logits(batched, std::span(tokens).first(8));
    sequences.push_back(std::move(batched));
  }
  std::vector<StepSequence> parts;
  std::vector<Sequence*> pointers;
  for (std::size_t i = 0; i < count; ++i) {
    parts.push_back(
        ModelRunner::part_of(sequences[i], std::span(tokens).subspan(8, 1 + i), LogitsRows::kAll));
    pointers.push_back(&sequences[i]);
  }
  EXPECT_EQ(runner.step(parts, pointers), expected);
  attached_.clear();
}

INSTANTIATE_TEST_SUITE_P(Models, CudaParity, ::testing::ValuesIn(model_names()),
                         [](const ::testing::TestParamInfo<std::string>& model) {
                           std::string name = model.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bobby::testing
