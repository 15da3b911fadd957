#include "training/config.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace bobby {
namespace {

TrainingConfig parsed(std::string_view yaml) {
  auto config = parse_training_config(yaml, "run.yaml");
  EXPECT_TRUE(config) << config.error().to_string();
  return config ? *std::move(config) : TrainingConfig();
}

std::string problems(std::string_view yaml) {
  const auto config = parse_training_config(yaml, "run.yaml");
  return config ? "" : config.error().to_string();
}

constexpr std::string_view kMlxLms = R"(# every key of mlx_lm.lora
model: "models/qwen3"
train: true
fine_tune_type: dora
optimizer: AdamW
optimizer_config:
  adam: {}
  adamw:
    betas: [0.9, 0.98]
    eps: 1e-6
    bias_correction: false
    weight_decay: 0.1
  sgd:
data: "${HOME}/data"
seed: 3
num_layers: -1
batch_size: 2
iters: 100
val_batches: -1
learning_rate: 1e-5
steps_per_report: 5
steps_per_eval: 50
resume_adapter_file: null
adapter_path: "out/../adapters"
save_every: 20
test: no
test_batches: 10
max_seq_length: 256
grad_checkpoint: yes
grad_accumulation_steps: 8
clear_cache_threshold: 1GB
lora_parameters:
  keys: ["self_attn.q_proj", "self_attn.v_proj"]
  rank: 16
  scale: 10
  dropout: 0.05
lr_schedule:
  name: cosine_decay
  warmup: 100
  warmup_init: 1e-7
  arguments: [1e-5, 1000, 1e-7]
mask_prompt: true
report_to: wandb
project_name: posts
trust_remote_code: false
prompt_feature: input
completion_feature: output
config:
)";

TEST(TrainingConfig, EveryKeyOfMlxLmsIsRead) {
  const TrainingConfig config = parsed(kMlxLms);
  EXPECT_EQ(config.model, "models/qwen3");
  EXPECT_EQ(config.data, "${HOME}/data");  // nothing is expanded
  EXPECT_EQ(config.fine_tune_type, FineTuneType::kDora);
  EXPECT_EQ(config.optimizer.kind, OptimizerKind::kAdamW);
  EXPECT_EQ(config.optimizer.adam, (AdamOptions{.beta_2 = 0.98, .eps = 1e-6, .weight_decay = 0.1}));
  EXPECT_EQ(config.seed, 3u);
  EXPECT_EQ(config.num_layers, -1);
  EXPECT_EQ(config.batch_size, 2);
  EXPECT_EQ(config.iters, 100);
  EXPECT_EQ(config.val_batches, -1);
  EXPECT_EQ(config.learning_rate, 1e-5);
  EXPECT_EQ(config.steps_per_report, 5);
  EXPECT_EQ(config.steps_per_eval, 50);
  EXPECT_EQ(config.resume_adapter_file, std::nullopt);
  EXPECT_EQ(config.adapter_path, "out/../adapters");
  EXPECT_EQ(config.save_every, 20);
  EXPECT_FALSE(config.test);
  EXPECT_EQ(config.test_batches, 10);
  EXPECT_EQ(config.max_seq_length, 256);
  EXPECT_TRUE(config.grad_checkpoint);
  EXPECT_EQ(config.grad_accumulation_steps, 8);
  EXPECT_EQ(config.lora, (LoraParameters{.rank = 16,
                                         .scale = 10,
                                         .dropout = 0.05,
                                         .keys = {{"self_attn.q_proj", "self_attn.v_proj"}}}));
  EXPECT_EQ(config.lr_schedule, (ScheduleConfig{.kind = ScheduleKind::kCosineDecay,
                                                .arguments = {1e-5, 1000, 1e-7},
                                                .warmup = 100,
                                                .warmup_init = 1e-7}));
  EXPECT_TRUE(config.mask_prompt);
  EXPECT_EQ(config.features.prompt, "input");
  EXPECT_EQ(config.features.completion, "output");
  EXPECT_EQ(config.notes.size(), 3u);  // report_to, project_name, clear_cache_threshold
  EXPECT_FLOAT_EQ(learning_rate_of(config).at(100), 1e-5f);
}

TEST(TrainingConfig, OurDefaultsDifferWhereTheyShould) {
  const TrainingConfig ours = parsed("model: a\n");
  EXPECT_EQ(ours.optimizer.kind, OptimizerKind::kAdamW);
  EXPECT_TRUE(ours.optimizer.adam.bias_correction);
  EXPECT_FALSE(ours.compat_mlx);
  const TrainingConfig mlx = parsed("compat: mlx\noptimizer: adamw\n");
  EXPECT_FALSE(mlx.optimizer.adam.bias_correction);
  const TrainingConfig adam = parsed("optimizer: adam\n");
  EXPECT_TRUE(adam.optimizer.adam.bias_correction);
  // What is said of other optimizers is checked, and left alone.
  const TrainingConfig sgd =
      parsed("optimizer: sgd\noptimizer_config: {adamw: {eps: 1e-3}, sgd: {momentum: 0.9}}\n");
  EXPECT_EQ(sgd.optimizer.adam.eps, 1e-8);
  EXPECT_EQ(sgd.optimizer.sgd.momentum, 0.9);
}

TEST(TrainingConfig, OurKeysAreRead) {
  const TrainingConfig config = parsed(R"(
epochs: 3
packing: false
pack_tokens: 4096
max_grad_norm: 1
early_stopping: {patience: 2, min_delta: 0.01}
samples:
  prompts: ["Write a post.", "Write about rain."]
  count: 2
  temperature: 0
over_long: split
prompt_form: chatml
cache_inputs: false
keep_checkpoints: 2
optimizer: adafactor
optimizer_config: {adafactor: {beta_1: 0.9, eps: [1e-20, 0.01], relative_step: false}}
)");
  EXPECT_EQ(config.epochs, 3);
  EXPECT_FALSE(config.packing);
  EXPECT_EQ(config.pack_tokens, 4096);
  EXPECT_EQ(config.max_grad_norm, 1);
  EXPECT_EQ(config.early_stopping, (EarlyStopping{.patience = 2, .min_delta = 0.01}));
  ASSERT_TRUE(config.samples);
  EXPECT_EQ(config.samples->prompts.size(), 2u);
  EXPECT_EQ(config.samples->count, 2);
  EXPECT_EQ(config.samples->temperature, 0);
  EXPECT_EQ(config.over_long, OverLong::kSplit);
  EXPECT_EQ(config.prompt_form, "chatml");
  EXPECT_FALSE(config.cache_inputs);
  EXPECT_EQ(config.keep_checkpoints, 2);
  EXPECT_EQ(config.optimizer.adafactor.beta_1, 0.9);
  EXPECT_EQ(config.optimizer.adafactor.eps_2, 0.01);
  EXPECT_FALSE(config.optimizer.adafactor.relative_step);
}

TEST(TrainingConfig, EveryProblemIsToldAtOnceWithItsLine) {
  const std::string told = problems(R"(model: 5
batch_size: "4"
iter: 100
lora_parameters:
  rank: 0
  scale: high
  dropuot: 0.1
learning_rate: fast
max_seq_length: 1e3
optimizer: adagrad
lr_schedule: {name: cosine, arguments: [1e-5]}
optimizer_config:
  adamw: {betas: [0.9, 1.0], decay: 1}
mask_prompt: 1
)");
  EXPECT_EQ(told,
            R"(run.yaml:1: key 'model': is not a text: expected a text, found 5
  run.yaml:2: key 'batch_size': is not a number it can be: expected an integer in [1, 1048576], found the text '4'
  run.yaml:3: key 'iter': is not known; the nearest is 'iters'
  run.yaml:5: key 'lora_parameters.rank': is not a number it can be: expected an integer in [1, 65536], found 0
  run.yaml:6: key 'lora_parameters.scale': is not a number it can be: expected a number, found the text 'high'
  run.yaml:7: key 'lora_parameters.dropuot': is not known; the nearest is 'dropout'
  run.yaml:8: key 'learning_rate': is not a number it can be: expected a number >= 0, found the text 'fast'
  run.yaml:9: key 'max_seq_length': is not a number it can be: expected an integer in [2, 16777216], found 1e3
  run.yaml:10: key 'optimizer': is not known: expected adam, adamw, muon, sgd or adafactor, found the text 'adagrad'
  run.yaml:11: key 'lr_schedule.name': is not a schedule: expected exponential_decay, step_decay, cosine_decay or linear_schedule, found cosine
  run.yaml:13: key 'optimizer_config.adamw.betas': is not a pair it can be: expected two numbers in [0, 1)
  run.yaml:13: key 'optimizer_config.adamw.decay': is not known; the nearest is 'betas'
  run.yaml:14: key 'mask_prompt': is neither yes nor no: expected true or false, found 1)");
}

TEST(TrainingConfig, EachMistakeHasItsSentence) {
  const std::pair<const char*, const char*> cases[] = {
      {"iters: 5\niters: 6\n", "run.yaml:2: key 'iters': stands in line 1 already"},
      {"lora_parameters: {rank: 8, alpha: 16}\n", "write 'scale: alpha / rank'"},
      {"lora_parameters: {scale: 20}\n", "'lora_parameters.rank': is missing"},
      {"lora_parameters: {rank: 8, scale: 20, keys: []}\n", "names no module"},
      {"lora_parameters: 8\n", "is not a mapping: expected keys with values below it, found 8"},
      {"fine_tune_type: full\n", "expected lora or dora, found full"},
      {"fine_tune_type: qlora\n", "expected lora, dora, found the text 'qlora'"},
      {"hf_dataset: {path: billsum}\n", "nothing is downloaded here"},
      {"lr_schedule: {name: cosine_decay}\n", "'lr_schedule.arguments': is missing"},
      {"lr_schedule: {name: step_decay, arguments: [1, 2]}\n", "takes 3 arguments, not 2"},
      {"lr_schedule: {name: cosine_decay, arguments: [1, 0]}\n", "argument 2 below 1"},
      {"lr_schedule: {name: cosine_decay, arguments: 5}\n", "is not a list of numbers"},
      {"compat: torch\n", "expected mlx, or no such key, found the text 'torch'"},
      {"compat: mlx\nmax_grad_norm: 1\n", "run.yaml:2: key 'max_grad_norm': changes what mlx-lm"},
      {"compat: mlx\nover_long: drop\n", "key 'over_long': changes what mlx-lm"},
      {"compat: mlx\nprompt_form: raw\n", "key 'prompt_form': changes what mlx-lm"},
      {"compat: mlx\nseed: 4294967296\n", "an integer in [0, 4294967295], found 4294967296"},
      {"seed: 99999999999999999999\n", "'seed': is not a number it can be"},
      {"seed: -1\n", "found -1"},
      {"dropout: .nan\n", "'dropout': is not known"},
      {"learning_rate: .inf\n", "found .inf"},
      {"epochs: 2\niters: 10\n", "stands beside 'iters'"},
      {"samples: {count: 1}\n", "'samples.prompts': names no prompt"},
      {"prompt_form: chatlm\n", "the nearest is 'chatml'"},
      {"optimizer: sgd\noptimizer_config: {sgd: {nesterov: true}}\n",
       "needs a momentum and no dampening"},
      {"optimizer_config: {lion: {}}\n", "'optimizer_config.lion': is not known"},
      {"base: &b {iters: 5}\n<<: *b\n", "merge keys are not read"},
      {"a: [1\nb: 2\n", "is not YAML ("},
      {"- 1\n- 2\n", "run.yaml: is not a mapping of keys to values"},
      {"", "run.yaml: is not a mapping of keys to values"},
      {"? [1, 2]\n: 3\n", "key '(not a text)': is not known"},
      {"iters: [1]\n", "found a list"},
      {"iters: {a: 1}\n", "found a mapping"},
  };
  for (const auto& [yaml, sentence] : cases)
    EXPECT_NE(problems(yaml).find(sentence), std::string::npos) << yaml << "was answered with\n"
                                                                << problems(yaml);
}

TEST(TrainingConfig, HostileTextsEndInASentence) {
  EXPECT_NE(problems(std::string(100000, '[')).find("is not YAML"), std::string::npos);
  EXPECT_NE(problems("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n").find("'c': is not known"),
            std::string::npos);
  std::string many;
  for (int i = 0; i < 20000; ++i) many += "key" + std::to_string(i) + ": 1\n";
  EXPECT_LT(problems(many).size(), 5000u);
  EXPECT_LT(problems(std::string(500000, 'k') + ": 1\n").size(), 1000u);
  EXPECT_NE(problems("iters: \"\x01\xFF\"\n"), "");
}

TEST(TrainingConfig, FilesAreReadOrToldOf) {
  const auto folder = std::filesystem::temp_directory_path() / "bobby_training_config";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "a.yaml") << "iters: 7\n";
  const auto config = read_training_config(folder / "a.yaml");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->iters, 7);
  EXPECT_EQ(config->config_file, (folder / "a.yaml").string());
  EXPECT_EQ(read_training_config(folder / "none.yaml").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_training_config(folder).error().code, ErrorCode::kIo);
  std::ofstream(folder / "large.yaml") << std::string((1 << 20) + 1, '#');
  EXPECT_EQ(read_training_config(folder / "large.yaml").error().code, ErrorCode::kLimit);
  std::filesystem::remove_all(folder);
}

TEST(TrainingConfig, ArgumentsForMlxLmReadBackAsTheSameConfig) {
  const std::string json = mlx_lm_arguments(parsed(kMlxLms));
  EXPECT_EQ(json.substr(0, 37), "{\n    \"adapter_path\": \"out/../adapter");
  const auto arguments = nlohmann::json::parse(json);
  EXPECT_EQ(arguments["fine_tune_type"], "dora");
  EXPECT_EQ(arguments["num_layers"], -1);
  EXPECT_EQ(arguments["lora_parameters"]["scale"], 10.0);
  EXPECT_EQ(arguments["lr_schedule"]["arguments"].dump(), "[1e-05,1000,1e-07]");
  EXPECT_EQ(arguments["resume_adapter_file"], nullptr);
  // JSON is YAML: what was written is a config again.
  const TrainingConfig again = parsed(json);
  EXPECT_EQ(mlx_lm_arguments(again), json);
}

// The keys in the first column of the guide's tables; "a.b" is b below a.
std::set<std::string> keys_of_the_guide() {
  std::ifstream guide(std::filesystem::path(BOBBY_SOURCE_DIR) / "docs/guides/training-config.md");
  std::set<std::string> keys;
  bool keys_follow = false;
  for (std::string line; std::getline(guide, line);) {
    if (line.starts_with("| key |")) keys_follow = true;
    if (line.empty()) keys_follow = false;
    const std::string first = line.substr(0, line.find(" | "));
    for (std::size_t at = first.find('`'); keys_follow && at != std::string::npos;) {
      const std::size_t end = first.find('`', at + 1);
      keys.insert(first.substr(at + 1, end - at - 1));
      at = first.find('`', end + 1);
    }
  }
  return keys;
}

TEST(TrainingConfig, TheGuideHasEveryKeyAndNoOther) {
  const std::set<std::string> keys = keys_of_the_guide();
  EXPECT_GE(keys.size(), 40u);
  for (const std::string& key : keys) {
    const std::size_t dot = key.find('.');
    const std::string yaml = dot == std::string::npos
                                 ? key + ": ~\n"
                                 : key.substr(0, dot) + ": {" + key.substr(dot + 1) + ": ~}\n";
    EXPECT_EQ(problems(yaml).find("is not known"), std::string::npos) << key;
  }
  const auto arguments = nlohmann::json::parse(mlx_lm_arguments(TrainingConfig()));
  for (const auto& [key, value] : arguments.items()) {
    const bool has_no_effect = key == "report_to" || key == "project_name" || key == "config" ||
                               key == "clear_cache_threshold" || key == "trust_remote_code";
    const bool told = keys.contains(key) || keys.contains(key + ".rank");
    EXPECT_TRUE(told || has_no_effect) << key << " is not in the guide";
  }
}

}  // namespace
}  // namespace bobby
