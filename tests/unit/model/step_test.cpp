// What a step and an attached adapter refuse, and what they do with numbers that are none.

#include <gtest/gtest.h>
#include <limits>

#include "backends/reference/reference.h"
#include "parity/models/model_runner.h"
#include "unit/lora/edited_folder.h"

namespace bobby::testing {
namespace {

namespace fs = std::filesystem;
const fs::path kModels = fs::path(BOBBY_SOURCE_DIR) / "tests/parity/models";
const fs::path kDense = kModels / "qwen3-f32";
const fs::path kQuantized = kModels / "qwen3-4bit-g32";
const fs::path kTied = kModels / "qwen3-4bit-g64-tied";

ModelRunner runner_of(const fs::path& folder) {
  return ModelRunner(folder / "model", make_reference_backend());
}

Result<Activation> step(ModelRunner& runner, StepSequence part) {
  return runner.model().step({&part, 1}, runner.kv());
}

TEST(Step, RefusesWhatItCannotRun) {
  ModelRunner runner = runner_of(kDense);
  const Sequence sequence = runner.sequence();
  const Tokens good = {1, 2, 3};
  const auto problem = [&](StepSequence part) { return sentence(step(runner, part)); };
  const auto part = [&](const Tokens& tokens) {
    return ModelRunner::part_of(sequence, tokens, LogitsRows::kLast);
  };
  EXPECT_EQ(problem(part(good)), "");
  EXPECT_TRUE(
      mentions(problem(part({101})), "outside the vocabulary: expected 0 to 100, found 101"));
  EXPECT_TRUE(mentions(problem(part({-1})), "outside the vocabulary"));
  EXPECT_TRUE(mentions(problem(part({})), "has no tokens"));
  StepSequence far = part(good);
  far.position = 126;  // of a context of 128
  EXPECT_TRUE(mentions(problem(far), "longer than the model's context"));
  EXPECT_EQ(step(runner, far).error().code, ErrorCode::kLimit);
  far.position = -1;
  EXPECT_TRUE(mentions(problem(far), "position is negative"));
  far.position = std::numeric_limits<std::int64_t>::max() - 1;
  EXPECT_TRUE(mentions(problem(far), "longer than the model's context"));
  StepSequence unblocked = part(good);
  unblocked.blocks = {};
  EXPECT_TRUE(mentions(problem(unblocked), "too few KV blocks"));
  const std::vector<std::int32_t> outside = {1000};
  unblocked.blocks = outside;
  EXPECT_TRUE(mentions(problem(unblocked), "outside the pool"));
  EXPECT_TRUE(mentions(sentence(runner.model().step({}, runner.kv())), "no sequences"));

  ModelRunner other = runner_of(kTied);
  StepSequence first = part(good);
  EXPECT_TRUE(mentions(sentence(runner.model().step({&first, 1}, other.kv())), "another model"));
}

TEST(Step, LogitsOfTheRowsAskedFor) {
  ModelRunner runner = runner_of(kDense);
  const Tokens tokens = {5, 6, 7};
  for (const auto& [rows, count] :
       {std::pair{LogitsRows::kNone, 0}, std::pair{LogitsRows::kLast, 1},
        std::pair{LogitsRows::kAll, 3}}) {
    const Sequence sequence = runner.sequence();
    const auto logits = step(runner, ModelRunner::part_of(sequence, tokens, rows));
    ASSERT_TRUE(logits) << sentence(logits);
    EXPECT_EQ(logits->rows, count);
    EXPECT_EQ(logits->cols, 101);
  }
}

TEST(Step, NanWeightsGiveNanLogitsAndNoCrash) {
  EditedFolder folder(kDense / "model");
  folder.tensors("model.safetensors", [](OwnTensors& tensors) {
    tensors["model.layers.0.mlp.up_proj.weight"] =
        constant({40, 48}, std::numeric_limits<float>::quiet_NaN());
  });
  ModelRunner runner(folder.path(), make_reference_backend());
  Sequence sequence = runner.sequence();
  const auto logits = runner.logits(sequence, Tokens{1, 2, 3});
  EXPECT_TRUE(std::isnan(logits.back()));
}

std::string attach_failure(ModelRunner& runner, const fs::path& folder) {
  const auto adapter = load_adapter(folder);
  if (!adapter) return "not loaded: " + sentence(adapter);
  return sentence(runner.model().attach(std::make_shared<const Adapter>(*adapter)));
}

TEST(Attach, AnAdapterOfAnotherBaseIsRefusedWithEveryModule) {
  ModelRunner runner = runner_of(kDense);
  const std::string text = attach_failure(runner, kQuantized / "adapters/mlx-all");
  EXPECT_TRUE(mentions(text,
                       "model.layers.0.mlp.down_proj: is adapted for another shape "
                       "(in_features, out_features): expected [40, 48], found [160, 96]"))
      << text;
  EXPECT_TRUE(mentions(text, "model.layers.1.self_attn.v_proj: is adapted for another shape"));
}

TEST(Attach, MissingAndExtraModulesAreNamed) {
  ModelRunner runner = runner_of(kDense);
  EditedFolder folder(kDense / "adapters/mlx-all");
  folder.tensors("adapters.safetensors", [](OwnTensors& tensors) {
    for (const char* leaf : {"lora_a", "lora_b"}) {
      const std::string dot = std::string(".") + leaf;
      tensors.erase("model.layers.0.self_attn.q_proj" + dot);
      tensors.erase("model.layers.1.mlp.up_proj" + dot);
      tensors["model.layers.2.mlp.up_proj" + dot] = tensors["model.layers.0.mlp.up_proj" + dot];
      tensors["lm_head" + dot] =
          constant(leaf == std::string("lora_a") ? std::vector<std::uint64_t>{48, 3}
                                                 : std::vector<std::uint64_t>{3, 101},
                   0.1f);
    }
  });
  const std::string text = attach_failure(runner, folder.path());
  for (const char* part :
       {"model.layers.0.self_attn.q_proj: has no tensors, although adapter_config.json names it",
        "model.layers.1.mlp.up_proj: has no tensors",
        "model.layers.2.mlp.up_proj: is adapted, but the model has no such module",
        "lm_head: has tensors, although adapter_config.json does not name it"})
    EXPECT_TRUE(mentions(text, part)) << part << " in\n" << text;
}

TEST(Attach, PeftWithoutOneOfItsTargetsIsRefused) {
  ModelRunner runner = runner_of(kDense);
  EditedFolder folder(kDense / "adapters/peft-dora");
  folder.json("adapter_config.json", [](nlohmann::json& json) {
    json["layers_to_transform"] = {0, 1};
  });
  const std::string text = attach_failure(runner, folder.path());
  EXPECT_TRUE(mentions(text, "model.layers.0.mlp.down_proj: has no tensors")) << text;
  EXPECT_TRUE(mentions(text, "model.layers.0.self_attn.q_proj: has no tensors")) << text;
}

TEST(Attach, DoraOfAnEmbeddingIsRefusedByName) {
  ModelRunner runner = runner_of(kTied);
  EditedFolder folder(kTied / "adapters/peft-embed");
  folder.json("adapter_config.json", [](nlohmann::json& json) { json["use_dora"] = true; });
  folder.tensors("adapter_model.safetensors", [](OwnTensors& tensors) {
    const std::string prefix = "base_model.model.model.";
    tensors[prefix + "embed_tokens.lora_magnitude_vector"] = constant({128}, 1.0f);
    for (const char* layer : {"0", "1"})
      tensors[prefix + "layers." + layer + ".self_attn.o_proj.lora_magnitude_vector"] =
          constant({128}, 1.0f);
  });
  EXPECT_TRUE(mentions(attach_failure(runner, folder.path()),
                       "model.embed_tokens: is an embedding, for which DoRA is not implemented"));
}

TEST(Attach, DoraIsMadeForOneFactor) {
  ModelRunner runner = runner_of(kQuantized);
  const auto dora = attach(runner.model(), kQuantized / "adapters/mlx-dora", 0.5f);
  const Tokens tokens = {1};
  Sequence sequence = runner.sequence({{dora, 0.5f}});
  const auto part = [&] { return ModelRunner::part_of(sequence, tokens, LogitsRows::kLast); };
  EXPECT_TRUE(step(runner, part()));
  sequence.adapters[0].factor = 1.0f;
  EXPECT_TRUE(mentions(sentence(step(runner, part())), "was attached with another factor"));
}

TEST(Attach, AnAdapterOfAnotherModelIsRefusedByTheStep) {
  ModelRunner runner = runner_of(kDense);
  ModelRunner other = runner_of(kDense);
  const auto adapter = attach(other.model(), kDense / "adapters/mlx-all");
  const Tokens tokens = {1};
  const Sequence sequence = runner.sequence({{adapter, 1.0f}});
  EXPECT_TRUE(
      mentions(sentence(step(runner, ModelRunner::part_of(sequence, tokens, LogitsRows::kLast))),
               "is not attached to this model"));
}

TEST(Attach, FactorZeroIsTheBaseAlone) {
  ModelRunner runner = runner_of(kDense);
  const auto adapter = attach(runner.model(), kDense / "adapters/mlx-all");
  const Tokens tokens = {3, 1, 4, 1, 5};
  Sequence base = runner.sequence();
  Sequence silent = runner.sequence({{adapter, 0.0f}}, 1);
  Sequence loud = runner.sequence({{adapter, 1.0f}}, 2);
  const auto expected = runner.logits(base, tokens);
  EXPECT_EQ(runner.logits(silent, tokens), expected);
  EXPECT_NE(runner.logits(loud, tokens), expected);
}

}  // namespace
}  // namespace bobby::testing
