// The Generator on real models, small ones: mlx-lm's greedy continuations, rows that do not depend
// on their company, and adapters that come and go between requests.

#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backends/cpu/cpu.h"
#include "backends/reference/reference.h"
#include "generation/generator.h"
#include "safetensors/safetensors.h"
#include "unit/generation/fake_model.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using Tokens = std::vector<std::int32_t>;

const fs::path kModels = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models";

struct Setting {
  const char* backend;
  const char* model;
  const char* adapter;
};

ModelLoader loader_of(const Setting& setting) {
  return [setting](const ProgressFn&) -> Result<std::shared_ptr<LoadedModel>> {
    auto loaded = std::make_shared<LoadedModel>();
    if (std::string(setting.backend) == "reference") {
      loaded->backend = make_reference_backend();
    } else {
      BOBBY_TRY(loaded->backend, make_cpu_backend({.threads = 2, .isa = std::nullopt}));
    }
    BOBBY_TRY(loaded->model, Model::load(kModels / setting.model / "model", *loaded->backend));
    // These models have no text: any tokenizer will do for their ids.
    loaded->tokenizer = testing_support::byte_tokenizer();
    return loaded;
  };
}

Tokens golden(const Setting& setting, const std::string& tensor) {
  auto file = safetensors::File::open(kModels / setting.model / "golden.safetensors");
  if (!file) throw std::runtime_error("no golden for " + std::string(setting.model));
  const auto view = std::move(*file->find(tensor)->as<std::int32_t>());
  return {view.begin(), view.end()};
}

class GeneratorParity : public testing::TestWithParam<Setting> {
 protected:
  Tokens tokens_of(const GenerationRequest& request) {
    const auto completions = generator_.generate(request);
    EXPECT_TRUE(completions) << completions.error().to_string();
    return completions ? completions->at(0).tokens : Tokens();
  }

  GenerationRequest greedy(const std::string& name) const {
    GenerationRequest request;
    request.prompt_tokens = golden(GetParam(), name + "/prompt_7");
    request.max_tokens = std::ssize(golden(GetParam(), name + "/greedy"));
    request.sampling.temperature = 0.0f;
    request.ignore_eos = true;
    return request;
  }

  Generator generator_{loader_of(GetParam()), {.kv_format = KvFormat::kF32}};
};

TEST_P(GeneratorParity, ContinuesGreedilyAsMlxLmDoes) {
  EXPECT_EQ(tokens_of(greedy("base")), golden(GetParam(), "base/greedy"));
}

TEST_P(GeneratorParity, SwapsAdaptersBetweenRequests) {
  const std::string name = GetParam().adapter;
  auto adapter = load_adapter(kModels / GetParam().model / "adapters" / name);
  ASSERT_TRUE(adapter) << adapter.error().to_string();
  const auto attached = generator_.attach(std::make_shared<const Adapter>(*std::move(adapter)));
  ASSERT_TRUE(attached) << attached.error().to_string();
  auto adapted = greedy(name);
  adapted.adapters = {{*attached, 1.0f}};
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(tokens_of(adapted), golden(GetParam(), name + "/greedy")) << "round " << round;
    EXPECT_EQ(tokens_of(greedy("base")), golden(GetParam(), "base/greedy")) << "round " << round;
  }
}

// Voices share steps and a prefix cache, and no prompt meets the keys and values of another's.
TEST_P(GeneratorParity, MixesVoicesInOneBatchAndOneCache) {
  Generator shared(
      loader_of(GetParam()),
      {.kv_format = KvFormat::kF32, .kv_bytes = std::size_t{1} << 24, .prefix_cache = true});
  const std::string name = GetParam().adapter;
  auto read = load_adapter(kModels / GetParam().model / "adapters" / name);
  ASSERT_TRUE(read) << read.error().to_string();
  const auto adapter = std::make_shared<const Adapter>(*std::move(read));
  const auto model = generator_.prewarm();
  ASSERT_TRUE(model);
  const auto vocab_size = static_cast<std::int32_t>((*model)->model->config().vocab_size);
  const auto request_of = [&](Generator& generator, std::size_t i) {
    GenerationRequest request;
    // Two prompts that begin alike for more than a block; the voice is none, one scale, another.
    for (std::int32_t t = 0; t < 70; ++t)
      request.prompt_tokens.push_back((t < 40 || i % 2 == 0 ? t * 7 : t * 5) % vocab_size);
    request.max_tokens = 12;
    request.sampling.temperature = 1.2f;
    request.seed = 9;
    request.ignore_eos = true;
    const auto attached = generator.attach(adapter);
    EXPECT_TRUE(attached);
    const float factor = static_cast<float>(i / 2 % 3);
    if (factor > 0.0f) request.adapters = {{*attached, factor}};
    return request;
  };
  constexpr std::size_t kRequests = 12;
  std::vector<Tokens> expected;
  for (std::size_t i = 0; i < kRequests; ++i)
    expected.push_back(tokens_of(request_of(generator_, i)));
  EXPECT_NE(expected[0], expected[2]) << "the adapter shows";
  EXPECT_NE(expected[2], expected[4]) << "its scale shows";
  for (int round = 0; round < 3; ++round) {
    std::vector<Tokens> found(kRequests);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kRequests; ++i)
      threads.emplace_back([&, i] {
        const auto completions = shared.generate(request_of(shared, i));
        if (completions) found[i] = completions->at(0).tokens;
      });
    for (std::thread& thread : threads) thread.join();
    for (std::size_t i = 0; i < kRequests; ++i)
      EXPECT_EQ(found[i], expected[i]) << "round " << round << ", request " << i;
  }
  EXPECT_GT(shared.stats().cached_prompt_tokens, 0u);
}

TEST_P(GeneratorParity, RowsWriteTheSameAloneAndTogether) {
  const auto model = generator_.prewarm();
  ASSERT_TRUE(model) << model.error().to_string();
  const auto vocab_size = static_cast<std::uint32_t>((*model)->model->config().vocab_size);
  // Within a block of 32, just filling it, past it, and past two.
  for (const std::uint32_t prompt_tokens : {5, 32, 33, 70}) {
    GenerationRequest request;
    for (std::uint32_t i = 0; i < prompt_tokens; ++i)
      request.prompt_tokens.push_back(static_cast<std::int32_t>(i * 7 % vocab_size));
    request.samples = first_samples(5);
    request.max_tokens = 12;
    request.sampling.temperature = 1.2f;
    request.seed = 9;
    const auto together = generator_.generate(request);
    ASSERT_TRUE(together) << together.error().to_string();
    for (const Completion& row : *together) {
      request.samples = {row.sample};
      const auto alone = generator_.generate(request);
      ASSERT_TRUE(alone);
      EXPECT_EQ(alone->at(0).tokens, row.tokens) << prompt_tokens << " tokens, row " << row.sample;
      EXPECT_EQ(alone->at(0).mean_logprob, row.mean_logprob) << "bit for bit";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GeneratorParity,
                         testing::Values(Setting{"reference", "qwen3-4bit-g32", "mlx-all"},
                                         Setting{"cpu", "qwen3-4bit-g32", "mlx-all"},
                                         Setting{"cpu", "llama-bias-llama3", "peft-head"}),
                         [](const auto& test) {
                           std::string name =
                               std::string(test.param.backend) + "_" + test.param.model;
                           for (char& c : name)
                             if (!isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

}  // namespace
}  // namespace bobby
