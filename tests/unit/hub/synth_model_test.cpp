#include "hub/synth_model.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>

#include "backends/reference/reference.h"
#include "hub/checkpoint_layout.h"
#include "hub/synth_config.h"
#include "lora/adapter.h"
#include "model/model.h"
#include "safetensors/sharded.h"
#include "tensor/formats/affine.h"
#include "unit/hub/model_folder.h"

namespace bobby {
namespace {

using testing::read_text;
using testing::TemporaryFolder;
using testing::tiny_qwen3;
using testing::write_text;

/// Logits of tokens 1, 2, 3 after the model in `folder`, on the reference backend.
std::vector<float> logits_of(const std::filesystem::path& folder,
                             const std::filesystem::path& adapter = {}) {
  const auto backend = make_reference_backend();
  const auto model = Model::load(folder, *backend);
  if (!model) {
    ADD_FAILURE() << model.error().to_string();
    return {};
  }
  std::shared_ptr<const AttachedAdapter> attached;
  if (!adapter.empty()) {
    auto loaded = load_adapter(adapter);
    if (!loaded) {
      ADD_FAILURE() << loaded.error().to_string();
      return {};
    }
    auto bound = (*model)->attach(std::make_shared<const Adapter>(*std::move(loaded)));
    if (!bound) {
      ADD_FAILURE() << bound.error().to_string();
      return {};
    }
    attached = *bound;
  }
  const auto kv = backend->allocate_kv((*model)->kv_shape(1));
  const std::vector<std::int32_t> tokens = {1, 2, 3};
  const std::vector<std::int32_t> blocks = {0};
  const std::vector<AdapterUse> uses = {{.adapter = attached}};
  const StepSequence sequence{
      .tokens = tokens, .blocks = blocks, .adapters = std::span(uses).first(attached ? 1 : 0)};
  const auto logits = (*model)->step({&sequence, 1}, **kv);
  if (!logits) {
    ADD_FAILURE() << logits.error().to_string();
    return {};
  }
  return {logits->data, logits->data + logits->cols};
}

TEST(SynthModel, LoadsAndWritesOrdinaryLogits) {
  const TemporaryFolder folder;
  for (const bool quantized : {false, true}) {
    auto config = tiny_qwen3();
    if (quantized) config["quantization"] = {{"group_size", 64}, {"bits", 4}};
    const auto file = write_text(folder / "tiny.json", config.dump());
    const auto out = folder / (quantized ? "quantized" : "dense");
    const auto made = synth_model({.arch = file.string(), .folder = out, .seed = 7});
    ASSERT_TRUE(made) << made.error().to_string();
    const auto logits = logits_of(out);
    ASSERT_EQ(logits.size(), 100u);
    double squares = 0.0;
    for (const float logit : logits) {
      ASSERT_TRUE(std::isfinite(logit));
      squares += static_cast<double>(logit) * static_cast<double>(logit);
    }
    // A normed row of 64 times weights of deviation 0.02: logits of deviation 8 * 0.02.
    EXPECT_NEAR(std::sqrt(squares / 100.0), 0.16, 0.08);
  }
}

TEST(SynthModel, NamedShapesHaveTheParametersOfThePublishedModels) {
  const std::map<std::string, std::int64_t> published = {
      {"qwen3-0.6b", 596'049'920},     {"qwen3-1.7b", 1'720'574'976},
      {"qwen3-4b", 4'022'468'096},     {"qwen3-8b", 8'190'735'360},
      {"qwen3-14b", 14'768'307'200},   {"qwen3-32b", 32'762'123'264},
      {"qwen2.5-0.5b", 494'032'768},   {"qwen2.5-1.5b", 1'543'714'304},
      {"qwen2.5-3b", 3'085'938'688},   {"qwen2.5-7b", 7'615'616'512},
      {"qwen2.5-14b", 14'770'033'664}, {"qwen2.5-32b", 32'763'876'352},
      {"llama-3.2-1b", 1'235'814'400}, {"llama-3.2-3b", 3'212'749'824},
      {"llama-3.1-8b", 8'030'261'248}, {"smollm2-135m", 134'515'008},
      {"smollm2-360m", 361'821'120},   {"smollm2-1.7b", 1'711'376'384},
  };
  const auto names = synth_architectures();
  EXPECT_EQ(names.size(), published.size());
  for (const std::string& name : names) {
    const auto made = synth_config(name, 0, 64);
    ASSERT_TRUE(made) << made.error().to_string();
    std::int64_t parameters = 0;
    for (const ModelTensor& tensor : model_tensors(made->config))
      parameters += tensor.rows * tensor.cols;
    EXPECT_EQ(parameters, published.at(name)) << name;
  }
}

TEST(SynthModel, FloatingPointModesAreRefused) {
  const TemporaryFolder folder;
  auto config = tiny_qwen3();
  config["quantization"] = {{"group_size", 32}, {"bits", 4}, {"mode", "mxfp4"}};
  const auto file = write_text(folder / "tiny.json", config.dump());
  const auto made = synth_model({.arch = file.string(), .folder = folder / "out"});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().to_string().find("floating point modes"), std::string::npos);
}

TEST(SynthModel, QuantizedWeightsLieAroundZeroInEveryFormat) {
  const TemporaryFolder folder;
  for (const int bits : kAffineBits) {
    auto config = tiny_qwen3();
    config["quantization"] = {{"group_size", 32}, {"bits", bits}};
    const auto file = write_text(folder / "tiny.json", config.dump());
    const auto out = folder / std::to_string(bits);
    ASSERT_TRUE(synth_model({.arch = file.string(), .folder = out}));
    const auto checkpoint = safetensors::Checkpoint::open(out);
    ASSERT_TRUE(checkpoint) << checkpoint.error().to_string();
    const auto data = [&](const char* name) { return checkpoint->find(name)->data.data(); };
    const WeightView view{.name = "gate_proj",
                          .format = {WeightFormat::Kind::kAffine, DType::kBF16, bits, 32},
                          .rows = 96,
                          .cols = 64,
                          .weight = data("model.layers.1.mlp.gate_proj.weight"),
                          .scales = data("model.layers.1.mlp.gate_proj.scales"),
                          .biases = data("model.layers.1.mlp.gate_proj.biases")};
    double sum = 0.0;
    double squares = 0.0;
    std::vector<float> row(64);
    for (std::int64_t r = 0; r < view.rows; ++r) {
      dequantize_row(view, r, row.data());
      for (const float w : row) {
        sum += static_cast<double>(w);
        squares += static_cast<double>(w) * static_cast<double>(w);
      }
    }
    const double count = 96.0 * 64.0;
    // Four levels spread further than a continuum of the same reach: sqrt(5/3) times at 2 bits.
    EXPECT_NEAR(std::sqrt(squares / count), 0.02, bits == 2 ? 0.007 : 0.004) << bits;
    EXPECT_NEAR(sum / count, 0.0, 5 * 0.026 / std::sqrt(count)) << bits;
  }
}

TEST(SynthModel, SameBytesWhateverTheThreads) {
  const TemporaryFolder folder;
  auto config = tiny_qwen3();
  config["vocab_size"] = 3001;  // more than one block for a thread
  config["quantization"] = {{"group_size", 32}, {"bits", 3}};
  const auto file = write_text(folder / "tiny.json", config.dump()).string();
  const auto weights = [&](const char* name, std::uint64_t seed, int threads) {
    const auto made =
        synth_model({.arch = file, .folder = folder / name, .seed = seed, .threads = threads});
    EXPECT_TRUE(made) << made.error().to_string();
    return read_text(folder / name / "model.safetensors");
  };
  const std::string one = weights("a", 1, 1);
  EXPECT_EQ(one, weights("b", 1, 3));
  EXPECT_NE(one, weights("c", 2, 1));
}

TEST(SynthModel, ShardsHoldTheSameTensors) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "tiny.json", tiny_qwen3().dump()).string();
  ASSERT_TRUE(synth_model({.arch = file, .folder = folder / "one"}));
  const auto made = synth_model({.arch = file, .folder = folder / "many", .shard_bytes = 40'000});
  ASSERT_TRUE(made) << made.error().to_string();
  const auto one = safetensors::Checkpoint::open(folder / "one");
  const auto many = safetensors::Checkpoint::open(folder / "many");
  ASSERT_TRUE(one && many) << many.error().to_string();
  EXPECT_EQ(one->files().size(), 1u);
  EXPECT_GT(many->files().size(), 2u);
  EXPECT_TRUE(std::filesystem::exists(folder / "many" / "model.safetensors.index.json"));
  ASSERT_EQ(many->tensors().size(), one->tensors().size());
  EXPECT_EQ(static_cast<std::size_t>(made->tensors), one->tensors().size());
  EXPECT_EQ(made->bytes, one->byte_size());
  for (const safetensors::Tensor* tensor : one->tensors()) {
    const safetensors::Tensor* twin = many->find(tensor->name);
    ASSERT_NE(twin, nullptr) << tensor->name;
    EXPECT_TRUE(std::ranges::equal(tensor->data, twin->data)) << tensor->name;
  }
}

TEST(SynthModel, ModulesThatFillNoGroupsStayDense) {
  const TemporaryFolder folder;
  auto config = tiny_qwen3();
  config["quantization"] = {{"group_size", 64}, {"bits", 4}};
  const auto file = write_text(folder / "tiny.json", config.dump()).string();
  ASSERT_TRUE(synth_model({.arch = file, .folder = folder / "out"}));
  const auto made = nlohmann::json::parse(read_text(folder / "out" / "config.json"));
  EXPECT_EQ(made.at("quantization").at("model.layers.0.mlp.down_proj"), false);
  EXPECT_FALSE(made.at("quantization").contains("model.layers.0.mlp.up_proj"));
  EXPECT_EQ(made.at("quantization"), made.at("quantization_config"));
}

TEST(SynthModel, NamedArchitecturesHaveTheirKnownSizes) {
  // Bytes of weights at 4 bits, group 64, bf16: parameters of matrices × 4.5 bits, of norms × 16.
  const TemporaryFolder folder;
  const auto made = synth_model({.arch = "smollm2-135m", .folder = folder / "out"});
  ASSERT_TRUE(made) << made.error().to_string();
  const std::uint64_t matrices = 134'479'872;  // of 134,515,008 parameters
  const std::uint64_t norms = 134'515'008 - matrices;
  EXPECT_EQ(made->bytes, matrices / 2 + matrices / 64 * 4 + norms * 2);
}

TEST(SynthModel, ErrorsNameWhatIsWrong) {
  const TemporaryFolder folder;
  const auto unknown = synth_model({.arch = "gpt-9", .folder = folder / "out"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_NE(unknown.error().to_string().find("qwen3-8b"), std::string::npos);
  const auto bits = synth_model({.arch = "qwen3-0.6b", .folder = folder / "out", .bits = 7});
  ASSERT_FALSE(bits);
  EXPECT_EQ(bits.error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(synth_model({.arch = "smollm2-135m", .folder = folder.path()}));
  const auto file = write_text(folder / "bad.json", "{\"model_type\": \"qwen3\"}").string();
  EXPECT_FALSE(synth_model({.arch = file, .folder = folder / "out"}));
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  EXPECT_FALSE(synth_adapter({.arch = "qwen3-8b", .folder = folder / "out", .rank = 0}));
}

TEST(SynthAdapter, FitsItsModelAndChangesTheLogits) {
  const TemporaryFolder folder;
  const auto file = write_text(folder / "tiny.json", tiny_qwen3().dump()).string();
  ASSERT_TRUE(synth_model({.arch = file, .folder = folder / "model"}));
  const auto made = synth_adapter({.arch = (folder / "model").string(),
                                   .folder = folder / "adapter",
                                   .rank = 4,
                                   .num_layers = 1});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->tensors, 14);
  const auto adapter = load_adapter(folder / "adapter");
  ASSERT_TRUE(adapter) << adapter.error().to_string();
  ASSERT_EQ(adapter->modules.size(), 7u);
  for (const AdapterModule& module : adapter->modules)
    EXPECT_TRUE(module.path.starts_with("model.layers.1.")) << module.path;
  EXPECT_EQ(adapter->scale, 20.0f);
  const auto plain = logits_of(folder / "model");
  const auto adapted = logits_of(folder / "model", folder / "adapter");
  ASSERT_EQ(adapted.size(), plain.size());
  EXPECT_NE(adapted, plain);
  for (const float logit : adapted) EXPECT_TRUE(std::isfinite(logit));
}

}  // namespace
}  // namespace bobby
