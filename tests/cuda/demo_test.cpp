// The demo model on a CUDA device: greedy text, 64 tokens a prompt, against transformers in fp32 on
// the same GGUF, as tests/parity/demo has it for the CPU; and samples that do not depend on
// company.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backends/cuda/cuda.h"
#include "generation/generator.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

// Where tools/demo_model.sh puts the model, or BOBBY_DEMO_MODEL.
fs::path demo_model() {
  if (const char* path = std::getenv("BOBBY_DEMO_MODEL")) return path;
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr ? home : "/") / ".local/share/bobby/models/demo";
}

Result<std::shared_ptr<LoadedModel>> load() {
  auto loaded = std::make_shared<LoadedModel>();
  BOBBY_TRY(loaded->backend, make_cuda_backend());
  BOBBY_TRY(loaded->model, Model::load(demo_model(), *loaded->backend));
  BOBBY_TRY(auto tokenizer, Tokenizer::from_file(demo_model() / "tokenizer.json"));
  loaded->tokenizer = std::make_shared<const Tokenizer>(std::move(tokenizer));
  return loaded;
}

class CudaDemo : public testing::Test {
 protected:
  void SetUp() override {
    if (auto backend = make_cuda_backend(); !backend) GTEST_SKIP() << backend.error().to_string();
    if (!fs::exists(demo_model() / "config.json"))
      GTEST_SKIP() << "no demo model at " << demo_model() << ": run tools/demo_model.sh";
  }
  std::vector<Completion> generate(const GenerationRequest& request) {
    const auto completions = generator_.generate(request);
    if (!completions) throw std::runtime_error(completions.error().to_string());
    return *completions;
  }

  Generator generator_{[](const ProgressFn&) { return load(); }};
};

TEST_F(CudaDemo, SixtyFourGreedyTokensAreTransformersOwn) {
  std::ifstream stream(fs::path(BOBBY_SOURCE_DIR) / "tests/parity/demo/golden/greedy.json");
  for (const auto& golden : nlohmann::json::parse(stream)) {
    GenerationRequest request;
    request.prompt = golden.at("text");
    request.max_tokens = 64;
    request.sampling.temperature = 0.0f;
    EXPECT_EQ(generate(request).at(0).tokens, golden.at("ids").get<std::vector<std::int32_t>>())
        << request.prompt;
  }
}

// Sample i of sixteen is sample i of fewer: the row's numbers are the same in any company.
TEST_F(CudaDemo, SamplesAreTheSameAloneOrInABatchOfSixteen) {
  GenerationRequest request;
  request.prompt = "The best thing about mornings is";
  request.max_tokens = 40;
  request.seed = 11;
  request.sampling.temperature = 0.8f;
  request.samples = first_samples(16);
  const auto sixteen = generate(request);
  ASSERT_EQ(sixteen.size(), 16u);
  for (const auto& samples : {first_samples(1), first_samples(3), std::vector<std::uint32_t>{15}}) {
    request.samples = samples;
    for (const Completion& one : generate(request))
      EXPECT_EQ(one.tokens, sixteen[one.sample].tokens)
          << "sample " << one.sample << " of " << samples.size();
  }
}

// Cut by time, a prompt would have other bits on a busy machine (docs/adr/0011).
TEST_F(CudaDemo, APromptIsCutByItsLengthAlone) {
  GenerationRequest request;
  for (int i = 0; i < 700; ++i) request.prompt += "one more ";
  request.max_tokens = 1;
  const std::int64_t length = generate(request).at(0).prompt_tokens;
  ASSERT_GT(length, 1024);
  std::int64_t left = length;
  const GenerationTrace trace = generator_.last_trace();
  for (const auto& chunk : trace.prefill) {
    EXPECT_EQ(chunk.tokens, std::min<std::int64_t>(left, 512));
    left -= chunk.tokens;
  }
  EXPECT_EQ(left, 0);
}

}  // namespace
}  // namespace bobby
