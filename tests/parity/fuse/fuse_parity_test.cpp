// fuse_model against mlx_lm.fuse on a tiny model; see tools/oracle/fuse.py.

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>

#include "base/sha256.h"
#include "hub/checkpoint_layout.h"
#include "hub/fuse_model.h"
#include "safetensors/sharded.h"
#include "tensor/formats/dense.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = BOBBY_SOURCE_DIR "/tests/parity/models/qwen3-4bit-g32";
const fs::path kGolden = BOBBY_SOURCE_DIR "/tests/parity/fuse/golden";

std::vector<float> numbers(const safetensors::Tensor& tensor) {
  const DType dtype = *float_dtype(tensor.dtype);
  std::vector<float> values(tensor.data.size() / dtype_bytes(dtype));
  widen(dtype, tensor.data.data(), static_cast<std::int64_t>(values.size()), values.data());
  return values;
}

/// Half a step of a number with `bits` bits of significand, of which one is not stored.
float half_step(float value, int bits) {
  int exponent = 0;
  std::frexp(value, &exponent);
  return std::ldexp(1.0f, exponent - bits - 1);
}

class FuseParity : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "bobby-fuse-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    auto golden = safetensors::Checkpoint::open(kGolden / "fuse.safetensors");
    ASSERT_TRUE(golden) << golden.error().to_string();
    golden_.emplace(std::move(*golden));
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// The fused folder's tensors, under a name of its own.
  safetensors::Checkpoint fuse(const std::string& adapter_name, const FuseModelOptions& options,
                               FusedModel* made_out = nullptr) {
    const auto adapter = load_adapter(kModel / "adapters" / adapter_name);
    EXPECT_TRUE(adapter) << adapter.error().to_string();
    const fs::path out = folder_ / std::to_string(++count_);
    auto made = fuse_model(kModel / "model", *adapter, out, options);
    EXPECT_TRUE(made) << made.error().to_string();
    if (made_out != nullptr) *made_out = *made;
    auto checkpoint = safetensors::Checkpoint::open(out);
    EXPECT_TRUE(checkpoint) << checkpoint.error().to_string();
    config_ = nlohmann::json::parse(std::ifstream(out / "config.json"));
    return std::move(*checkpoint);
  }

  fs::path folder_;
  int count_ = 0;
  std::optional<safetensors::Checkpoint> golden_;
  nlohmann::json config_;
};

TEST_F(FuseParity, RoundedAsMlxDoesItIsMlxLmsFuse) {
  const auto fused = fuse("mlx-all", {.rounding = FuseRounding::kMlx, .threads = 2});
  EXPECT_FALSE(config_.contains("quantization"));
  const auto digests = nlohmann::json::parse(std::ifstream(kGolden / "fuse.json"));
  for (const safetensors::Tensor* tensor : fused.tensors()) {
    SCOPED_TRACE(tensor->name);
    if (const auto digest = digests.find("dequantized/" + tensor->name); digest != digests.end()) {
      EXPECT_EQ(sha256_hex(tensor->data), *digest);
    }
    const safetensors::Tensor* expected = golden_->find("dequantized/" + tensor->name);
    if (expected == nullptr) continue;
    ASSERT_EQ(tensor->dtype, expected->dtype);
    // The change's own sum is taken in another order: a few numbers lie on a boundary of bf16.
    const auto found = numbers(*tensor);
    const auto wanted = numbers(*expected);
    std::size_t other = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i] != wanted[i]) ++other;
      EXPECT_NEAR(found[i], wanted[i], 4 * half_step(std::abs(wanted[i]) + 0.05f, 8));
    }
    EXPECT_LE(other, found.size() / 500);
  }
}

TEST_F(FuseParity, RoundedOnceIsAsNearAsTheTypeAllows) {
  FusedModel made;
  const auto fused = fuse("mlx-all", {.threads = 2}, &made);
  const auto exact = fuse("mlx-all", {.dtype = DType::kF32, .threads = 2});
  EXPECT_EQ(made.modules.size(), 14u);
  double once = 0.0;
  double mlx = 0.0;
  for (const safetensors::Tensor* tensor : fused.tensors()) {
    if (tensor->shape.size() != 2) continue;
    SCOPED_TRACE(tensor->name);
    const auto found = numbers(*tensor);
    const auto wanted = numbers(*exact.find(tensor->name));
    for (std::size_t i = 0; i < found.size(); ++i)
      ASSERT_LE(std::abs(found[i] - wanted[i]), half_step(wanted[i], 8));
    const safetensors::Tensor* other = golden_->find("dequantized/" + tensor->name);
    if (other == nullptr) continue;
    const auto theirs = numbers(*other);
    for (std::size_t i = 0; i < found.size(); ++i) {
      once += std::pow(found[i] - wanted[i], 2.0);
      mlx += std::pow(theirs[i] - wanted[i], 2.0);
    }
  }
  EXPECT_LT(once, 0.7 * mlx);  // one rounding in place of three
}

TEST_F(FuseParity, QuantisedAgainIsMlxLmsFuse) {
  FusedModel made;
  const auto fused = fuse("mlx-all",
                          {.rounding = FuseRounding::kMlx,
                           .requantize = true,
                           .quantize_rounding = Rounding::kCpu,
                           .threads = 2},
                          &made);
  EXPECT_TRUE(config_.contains("quantization"));
  const auto digests = nlohmann::json::parse(std::ifstream(kGolden / "fuse.json"));
  for (const safetensors::Tensor* tensor : fused.tensors()) {
    SCOPED_TRACE(tensor->name);
    if (const auto digest = digests.find("requantized/" + tensor->name); digest != digests.end()) {
      EXPECT_EQ(sha256_hex(tensor->data), *digest);
    }
    const safetensors::Tensor* expected = golden_->find("requantized/" + tensor->name);
    if (expected == nullptr) continue;
    ASSERT_EQ(tensor->data.size(), expected->data.size());
    std::size_t other = 0;
    for (std::size_t i = 0; i < tensor->data.size(); ++i)
      if (tensor->data[i] != expected->data[i]) ++other;
    EXPECT_LE(other, tensor->data.size() / 100);  // a scale that moved moves its group
  }
  DeltaKept total;
  for (const FusedModule& module : made.modules) total += module.kept;
  EXPECT_GT(total.lost(), 0.3);
}

TEST_F(FuseParity, DoraIsItsArithmetic) {
  const auto fused = fuse("mlx-dora", {.dtype = DType::kF32, .threads = 2});
  std::size_t seen = 0;
  for (const safetensors::Tensor* expected : golden_->tensors()) {
    if (!expected->name.starts_with("dora/")) continue;
    const auto found = numbers(*fused.find(expected->name.substr(5)));
    const auto wanted = numbers(*expected);
    for (std::size_t i = 0; i < found.size(); ++i)
      ASSERT_NEAR(found[i], wanted[i], 8 * half_step(std::abs(wanted[i]) + 0.1f, 24));
    ++seen;
  }
  EXPECT_EQ(seen, 2u);
}

TEST_F(FuseParity, AnEmbeddingIsFusedAndAnEmptyChangeIsNone) {
  const auto fused = fuse("mlx-head", {.dtype = DType::kF32, .threads = 1});
  const auto base = fuse("mlx-last-qv-bf16", {.dtype = DType::kF32, .factor = 0.0f});
  const auto adapter = load_adapter(kModel / "adapters/mlx-head");
  for (const AdapterModule& module : adapter->modules) {
    if (module.path != "model.embed_tokens") continue;
    const auto found = numbers(*fused.find(module.path + ".weight"));
    const auto plain = numbers(*base.find(module.path + ".weight"));
    const auto hidden = static_cast<std::size_t>(module.out_features);
    for (const std::size_t token : {0u, 77u, 129u})
      for (std::size_t i = 0; i < hidden; ++i) {
        double change = 0.0;
        for (std::size_t r = 0; r < static_cast<std::size_t>(module.rank); ++r)
          change += static_cast<double>(
                        module.a[r * static_cast<std::size_t>(module.in_features) + token]) *
                    module.b[i * static_cast<std::size_t>(module.rank) + r];
        ASSERT_NEAR(found[token * hidden + i], plain[token * hidden + i] + module.scale * change,
                    1e-5);
      }
  }
}

TEST(FuseRefusals, NameWhatDoesNotFit) {
  const auto adapter = load_adapter(kModel / "adapters/mlx-all");
  ASSERT_TRUE(adapter);
  const fs::path out = fs::temp_directory_path() / "bobby-fuse-refused";
  const auto other =
      fuse_model(BOBBY_SOURCE_DIR "/tests/parity/models/qwen3-8bit-g128/model", *adapter, out, {});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kMismatch);
  EXPECT_NE(other.error().to_string().find("self_attn.q_proj"), std::string::npos);
  EXPECT_FALSE(fs::exists(out));

  const auto dense =
      load_adapter(BOBBY_SOURCE_DIR "/tests/parity/models/qwen3-f32/adapters/mlx-all");
  ASSERT_TRUE(dense);
  const auto requantized = fuse_model(BOBBY_SOURCE_DIR "/tests/parity/models/qwen3-f32/model",
                                      *dense, out, {.requantize = true});
  ASSERT_FALSE(requantized);
  EXPECT_EQ(requantized.error().code, ErrorCode::kUsage);

  const auto tied =
      load_adapter(BOBBY_SOURCE_DIR "/tests/parity/models/qwen3-4bit-g64-tied/adapters/peft-embed");
  ASSERT_TRUE(tied);
  const auto untied =
      fuse_model(BOBBY_SOURCE_DIR "/tests/parity/models/qwen3-4bit-g64-tied/model", *tied, out, {});
  ASSERT_FALSE(untied);
  EXPECT_EQ(untied.error().code, ErrorCode::kUnsupported);

  const auto mxfp4 =
      fuse_model(BOBBY_SOURCE_DIR "/tests/parity/models/qwen3-mxfp4/model", *adapter, out, {});
  ASSERT_FALSE(mxfp4);
  EXPECT_NE(mxfp4.error().to_string().find("is in mode mxfp4"), std::string::npos);

  const auto dora = load_adapter(kModel / "adapters/mlx-dora");
  ASSERT_TRUE(dora);
  const auto as_mlx = fuse_model(kModel / "model", *dora, out, {.rounding = FuseRounding::kMlx});
  ASSERT_FALSE(as_mlx);
  EXPECT_EQ(as_mlx.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace bobby
