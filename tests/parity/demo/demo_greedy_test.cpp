// Greedy text of the demo model, 64 tokens a prompt, against transformers in fp32 on the same GGUF.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backends/cpu/cpu.h"
#ifdef BOBBY_MLX
#include "backends/mlx/mlx.h"
#endif
#include "generation/generator.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

// Where tools/demo_model.sh puts the model, or BOBBY_DEMO_MODEL.
fs::path demo_model() {
  if (const char* path = std::getenv("BOBBY_DEMO_MODEL")) return path;
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != '\0')
    return fs::path(data) / "bobby/models/demo";
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr ? home : "/") / ".local/share/bobby/models/demo";
}

struct Case {
  std::string text;
  std::vector<std::int32_t> prompt_ids, ids;
};

std::vector<Case> cases() {
  std::ifstream stream(fs::path(BOBBY_SOURCE_DIR) / "tests/parity/demo/golden/greedy.json");
  std::vector<Case> found;
  for (const auto& json : nlohmann::json::parse(stream))
    found.push_back({json.at("text"), json.at("prompt_ids"), json.at("ids")});
  return found;
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const CpuIsa isa : available_isas()) names.emplace_back(isa_name(isa));
#ifdef BOBBY_MLX
  names.emplace_back("mlx");
#endif
  return names;
}

Result<std::unique_ptr<Backend>> make_backend(const std::string& name) {
#ifdef BOBBY_MLX
  if (name == "mlx") return make_mlx_backend();
#endif
  return make_cpu_backend({.threads = 2, .isa = parse_isa(name)});
}

class DemoGreedy : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!fs::exists(demo_model() / "config.json"))
      GTEST_SKIP() << "no demo model at " << demo_model() << ": run tools/demo_model.sh";
  }
};

TEST_P(DemoGreedy, SixtyFourTokensAreTransformersOwn) {
  Generator generator([](const ProgressFn&) -> Result<std::shared_ptr<LoadedModel>> {
    auto loaded = std::make_shared<LoadedModel>();
    BOBBY_TRY(loaded->backend, make_backend(GetParam()));
    BOBBY_TRY(loaded->model, Model::load(demo_model(), *loaded->backend));
    BOBBY_TRY(auto tokenizer, Tokenizer::from_file(demo_model() / "tokenizer.json"));
    loaded->tokenizer = std::make_shared<const Tokenizer>(std::move(tokenizer));
    return loaded;
  });
  const auto loaded = generator.prewarm();
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  for (const Case& golden : cases()) {
    SCOPED_TRACE(golden.text);
    EXPECT_EQ((*loaded)->tokenizer->encode(golden.text), golden.prompt_ids);
    GenerationRequest request;
    request.prompt = golden.text;
    request.max_tokens = 64;
    request.sampling.temperature = 0.0f;
    const auto completions = generator.generate(request);
    ASSERT_TRUE(completions) << completions.error().to_string();
    EXPECT_EQ(completions->at(0).tokens, golden.ids);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryBackend, DemoGreedy, testing::ValuesIn(backend_names()),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace bobby
