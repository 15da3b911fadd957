// Every adapter of the oracle through other dialects (tools/oracle/adapters.py): the files are
// those that mlx-lm and PEFT have read, and the model answers with them as with the adapter as it
// was.

#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "backends/reference/reference.h"
#include "base/sha256.h"
#include "lora/conversion.h"
#include "parity/models/model_runner.h"
#include "safetensors/safetensors.h"

namespace bobby::testing {
namespace {

namespace fs = std::filesystem;
const fs::path kParity = fs::path(BOBBY_SOURCE_DIR) / "tests/parity";
// As in models_parity_test: fp32 with fp64 sums against fp32, and the oracle's own error.
constexpr double kReference = 1e-5;

nlohmann::json cases() {
  std::ifstream stream(kParity / "adapters/exports.json");
  return nlohmann::json::parse(stream).at("cases");
}

Adapter::Source dialect(const std::string& name) {
  if (name == "gguf") return Adapter::Source::kGguf;
  return name == "peft" ? Adapter::Source::kPeft : Adapter::Source::kMlx;
}

std::optional<BaseFacts> base_of(const nlohmann::json& one) {
  if (!one.at("base").get<bool>()) return std::nullopt;
  const std::string model = one.at("model");
  const auto config = value_of(ModelConfig::load(kParity / "models" / model / "model"));
  return BaseFacts{.name = "tests/parity/models/" + model + "/model",
                   .model_type = config.model_type,
                   .num_hidden_layers = config.num_hidden_layers,
                   .num_attention_heads = config.num_attention_heads,
                   .num_key_value_heads = config.num_key_value_heads,
                   .head_dim = config.head_dim,
                   .tie_word_embeddings = config.tie_word_embeddings};
}

class ConvertedAdapter : public ::testing::Test {
 protected:
  ConvertedAdapter() {
    std::string name = fs::temp_directory_path() / "bobby-adapters-XXXXXX";
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    work_ = name;
  }
  ~ConvertedAdapter() override { fs::remove_all(work_); }

  /// The adapters of a case, the one it starts from first.
  std::vector<fs::path> convert(const nlohmann::json& one) {
    const std::string model = one.at("model"), adapter = one.at("adapter");
    std::vector<fs::path> paths = {kParity / "models" / model / "adapters" / adapter};
    for (const std::string to : one.at("chain")) {
      const fs::path out = work_ / std::to_string(next_++);
      value_of(write_adapter(
          value_of(load_adapter(paths.back())),
          {.dialect = dialect(to), .path = out, .base = base_of(one), .voice_json = std::nullopt}));
      paths.push_back(out);
    }
    return paths;
  }

  fs::path work_;
  int next_ = 0;
};

TEST_F(ConvertedAdapter, FilesAreThoseThatTheLibrariesRead) {
  for (const auto& one : cases()) {
    SCOPED_TRACE(one.dump());
    const fs::path made = convert(one).back();
    std::size_t files = 0;
    for (const auto& entry : fs::directory_iterator(made)) {
      ++files;
      EXPECT_EQ(*sha256_file(entry.path()),
                one.at("files").at(entry.path().filename().string()).get<std::string>())
          << entry.path().filename()
          << " changed: run tools/oracle/adapters.py, which has the libraries read it again";
    }
    EXPECT_EQ(files, one.at("files").size());
  }
}

TEST_F(ConvertedAdapter, TheModelAnswersAsBefore) {
  for (const auto& one : cases()) {
    SCOPED_TRACE(one.dump());
    const fs::path folder = kParity / "models" / one.at("model").get<std::string>();
    const auto golden = std::move(*safetensors::File::open(folder / "golden.safetensors"));
    const auto prompt = *golden.find("prompt_37")->as<std::int32_t>();
    const auto logits =
        *golden.find(one.at("adapter").get<std::string>() + "/logits_37")->as<float>();
    ModelRunner runner(folder / "model", make_reference_backend(), KvFormat::kF32);
    const std::vector<float> expected(logits.begin(), logits.end());
    for (const fs::path& adapter : convert(one)) {
      Sequence sequence = runner.sequence({{attach(runner.model(), adapter), 1.0f}});
      EXPECT_LE(relative_l2(runner.logits(sequence, prompt), expected), kReference) << adapter;
    }
  }
}

TEST_F(ConvertedAdapter, WithoutTheSizeOfAHeadTheModelPutsRowsInOrder) {
  for (const auto& one : cases()) {
    if (one.at("model") != "llama-bias-llama3" || one.at("chain").front() != "gguf") continue;
    SCOPED_TRACE(one.dump());
    const std::vector<fs::path> paths = convert(one);
    std::ifstream in(paths[1], std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    const std::size_t key = bytes.find("llama.attention.key_length");
    ASSERT_NE(key, std::string::npos);
    bytes[key] = 'x';  // as llama.cpp's converter writes it: without
    const fs::path silent = work_ / "silent.gguf";
    std::ofstream(silent, std::ios::binary) << bytes;
    EXPECT_TRUE(value_of(load_adapter(silent)).paired_rows);

    const fs::path folder = kParity / "models" / one.at("model").get<std::string>();
    const auto golden = std::move(*safetensors::File::open(folder / "golden.safetensors"));
    const auto prompt = *golden.find("prompt_37")->as<std::int32_t>();
    ModelRunner runner(folder / "model", make_reference_backend(), KvFormat::kF32);
    Sequence told = runner.sequence({{attach(runner.model(), paths[1]), 1.0f}});
    Sequence untold = runner.sequence({{attach(runner.model(), silent), 1.0f}});
    EXPECT_EQ(runner.logits(untold, prompt), runner.logits(told, prompt));

    ModelRunner other(kParity / "models/qwen3-f32/model", make_reference_backend(), KvFormat::kF32);
    const auto refused =
        other.model().attach(std::make_shared<const Adapter>(value_of(load_adapter(silent))), 1.0f);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().to_string().find("another architecture"), std::string::npos);
    return;
  }
  FAIL() << "no such case";
}

}  // namespace
}  // namespace bobby::testing
