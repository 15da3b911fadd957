// quantize_model against mlx-lm's own converter on a tiny model; see
// tools/oracle/quantize_model.py.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "hub/quantize_model.h"
#include "parity/quantize/counter_values.h"
#include "safetensors/sharded.h"
#include "safetensors/writer.h"
#include "tensor/formats/dense.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

/// Writes the oracle's dense model: tensor i, by name, holds normal_values of seed 100 + i in bf16.
void write_source(const fs::path& folder, const nlohmann::json& golden) {
  std::vector<std::vector<std::byte>> memory;
  std::vector<safetensors::TensorData> tensors;
  std::uint64_t seed = 100;
  for (const auto& [name, shape] : golden.at("shapes").items()) {
    safetensors::TensorData tensor{{name, safetensors::DType::kBF16, shape}, {}};
    std::size_t count = 1;
    for (const std::uint64_t dimension : tensor.shape) count *= dimension;
    const auto values = testing::normal_values(seed++, count);
    memory.emplace_back(2 * count);
    narrow(DType::kBF16, values.data(), static_cast<std::int64_t>(count), memory.back().data());
    tensor.data = memory.back();
    tensors.push_back(std::move(tensor));
  }
  std::ofstream(folder / "config.json") << golden.at("config");
  const auto written = safetensors::write_file(folder / "model.safetensors", tensors);
  ASSERT_TRUE(written) << written.error().to_string();
}

TEST(QuantizeModelParity, TensorsAreTheConverters) {
  std::ifstream stream(BOBBY_SOURCE_DIR "/tests/parity/quantize_model/golden/quantize_model.json");
  const auto golden = nlohmann::json::parse(stream);
  std::string name = (fs::temp_directory_path() / "bobby-parity-XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  const std::unique_ptr<const fs::path, void (*)(const fs::path*)> cleaner(
      &folder, [](const fs::path* path) { fs::remove_all(*path); });
  fs::create_directory(folder / "source");
  write_source(folder / "source", golden);

  for (const auto& setting : golden.at("cases")) {
    const int bits = setting.at("bits");
    const std::string recipe = setting.value("recipe", "");
    SCOPED_TRACE(std::to_string(bits) + recipe);
    const fs::path out = folder / (std::to_string(bits) + recipe);
    const auto made = quantize_model(folder / "source", out,
                                     {.bits = bits,
                                      .group_size = setting.at("group_size"),
                                      .recipe = recipe,
                                      .rounding = Rounding::kCpu});
    ASSERT_TRUE(made) << made.error().to_string();
    const auto checkpoint = safetensors::Checkpoint::open(out);
    ASSERT_TRUE(checkpoint) << checkpoint.error().to_string();
    std::map<std::string, std::string> digests;
    for (const safetensors::Tensor* tensor : checkpoint->tensors())
      digests[tensor->name] = sha256_hex(tensor->data);
    const std::map<std::string, std::string> expected = setting.at("tensors");
    EXPECT_EQ(digests, expected);

    // mlx-lm leaves out what it does not quantise; ours says `false`, which it reads the same.
    std::ifstream config_stream(out / "config.json");
    auto quantization = nlohmann::json::parse(config_stream).at("quantization");
    for (const std::string& path : made->left_dense) {
      EXPECT_EQ(quantization.at(path), false);
      quantization.erase(path);
    }
    EXPECT_EQ(quantization, setting.at("quantization"));
  }
}

TEST(QuantizeModelParity, RecipesAreTheConverters) {
  std::ifstream stream(BOBBY_SOURCE_DIR "/tests/parity/quantize_model/golden/quantize_model.json");
  const auto golden = nlohmann::json::parse(stream);
  EXPECT_EQ(golden.at("recipes").size(), quantize_recipes().size());
  for (const auto& [recipe, depths] : golden.at("recipes").items())
    for (const auto& [depth, kinds] : depths.items())
      for (const auto& [kind, digits] : kinds.items()) {
        std::string bits;
        for (std::size_t layer = 0; layer < digits.get<std::string>().size(); ++layer) {
          std::string path = kind;
          const std::string layers = "model.layers";
          if (path.starts_with(layers)) path.insert(layers.size(), "." + std::to_string(layer));
          const auto got = recipe_bits(recipe, path, std::stoi(depth));
          ASSERT_TRUE(got) << got.error().to_string();
          bits += std::to_string(*got);
        }
        EXPECT_EQ(bits, digits.get<std::string>()) << recipe << ", " << depth << ", " << kind;
      }
}

}  // namespace
}  // namespace bobby
