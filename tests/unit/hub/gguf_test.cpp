#include "hub/gguf.h"

#include <gtest/gtest.h>
#include <limits>
#include <random>

#include "gguf_builder.h"
#include "hub/gguf_blocks.h"
#include "tensor/formats/affine.h"
#include "tensor/half.h"

namespace bobby {
namespace {

using test::GgufBuilder;

std::span<const std::byte> as_span(const std::string& bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

std::string small_file() {
  return GgufBuilder()
      .key("general.architecture", "llama")
      .key("answer", std::uint32_t{42})
      .key("half", 0.5f)
      .key("words", std::vector<std::string>{"a", "b\xc4\xa0"})
      .key("ids", std::vector<std::int32_t>{1, -2, 3})
      .tensor("v", {3}, 0, std::string(12, '\1'))
      .tensor("m", {2, 32}, 3, std::string(40, '\2'))
      .bytes();
}

TEST(Gguf, ReadsKeysAndTensors) {
  const std::string bytes = small_file();
  const auto file = GgufFile::parse(as_span(bytes), "f.gguf");
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->get<std::string>("general.architecture").value(), "llama");
  EXPECT_EQ(file->get<std::uint64_t>("answer").value(), 42u);
  EXPECT_EQ(file->get<double>("half").value(), 0.5);
  EXPECT_EQ(file->get<double>("answer").value(), 42.0);
  EXPECT_EQ(file->get<std::vector<std::string>>("words").value()[1], "b\xc4\xa0");
  EXPECT_EQ(file->get<std::vector<std::int64_t>>("ids").value(),
            (std::vector<std::int64_t>{1, -2, 3}));
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(file->tensors()[1].shape, (std::vector<std::int64_t>{2, 32}));
  EXPECT_EQ(file->tensors()[1].data.size(), 40u);
  EXPECT_EQ(file->tensors()[1].data[0], std::byte{2});
}

TEST(Gguf, NamesTheKeyThatIsMissingOrOfAnotherType) {
  const std::string bytes = small_file();
  const auto file = GgufFile::parse(as_span(bytes), "f.gguf");
  ASSERT_TRUE(file);
  EXPECT_NE(file->get<std::string>("nope").error().to_string().find("key 'nope' is missing"),
            std::string::npos);
  EXPECT_NE(file->get<std::uint64_t>("half").error().to_string().find("key 'half'"),
            std::string::npos);
  EXPECT_FALSE(file->find<std::string>("nope").value().has_value());
}

TEST(Gguf, EveryTruncationIsAnError) {
  const std::string bytes = small_file();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::string cut = bytes.substr(0, length);
    const auto file = GgufFile::parse(as_span(cut), "cut.gguf");
    ASSERT_FALSE(file) << length << " of " << bytes.size() << " bytes";
    EXPECT_EQ(file.error().code, ErrorCode::kMalformed) << file.error().to_string();
  }
}

TEST(Gguf, DamagedBytesNeverCrash) {
  const std::string good = small_file();
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    refused += !GgufFile::parse(as_span(bytes), "bad.gguf");
  }
  EXPECT_GT(refused, 0);
}

TEST(Gguf, RefusesLies) {
  struct Case {
    std::string_view what;
    std::string bytes;
    std::string_view says;
  };
  std::string version1 = small_file();
  version1[4] = 1;
  std::string many = small_file();
  for (int i = 8; i < 16; ++i) many[static_cast<std::size_t>(i)] = '\xff';
  const Case cases[] = {
      {"magic", "GGUX" + small_file().substr(4), "is not a GGUF file"},
      {"version", version1, "version is not read"},
      {"tensor count", many, "cannot fit in the file"},
      {"key twice", GgufBuilder().key("a", 1.0f).key("a", 2.0f).bytes(), "key 'a' stands twice"},
      {"tensor twice",
       GgufBuilder().tensor("t", {1}, 0, "abcd").tensor("t", {1}, 0, "abcd").bytes(),
       "tensor 't' stands twice"},
      {"shape overflow",
       GgufBuilder().tensor("t", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, 0, "").bytes(),
       "shape overflows"},
      {"beyond the end", GgufBuilder().tensor("t", {1 << 20}, 0, "abcd").bytes(),
       "outside the file"},
      {"ragged block", GgufBuilder().tensor("t", {1, 33}, 3, std::string(64, 'x')).bytes(),
       "no whole number of Q4_1 blocks"},
      {"no dimensions", GgufBuilder().tensor("t", {}, 0, "").bytes(), "number of dimensions"},
      {"alignment", GgufBuilder().key("general.alignment", std::uint32_t{3}).bytes(),
       "not a power of two"},
  };
  for (const Case& test : cases) {
    const auto file = GgufFile::parse(as_span(test.bytes), "f.gguf");
    ASSERT_FALSE(file) << test.what;
    EXPECT_NE(file.error().to_string().find(test.says), std::string::npos)
        << test.what << ": " << file.error().to_string();
  }
}

// Blocks of random bytes with finite scales, and the number each of their weights stands for.
struct Blocks {
  std::string bytes;
  std::vector<float> values;
};

Blocks random_blocks(GgufType type, std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto half = [&] {
    // Any finite half small enough that 128 times it is still one.
    std::uint16_t bits;
    do bits = static_cast<std::uint16_t>(random());
    while (!(std::abs(f16_to_float(bits)) < 500.0f));
    return bits;
  };
  Blocks blocks;
  for (std::size_t block = 0; block < count; ++block) {
    const std::uint16_t d = half();
    GgufBuilder::append(blocks.bytes, d);
    const std::uint16_t m = half();
    if (type == GgufType::kQ4_1) GgufBuilder::append(blocks.bytes, m);
    std::uint8_t data[32];
    const std::size_t bytes = type == GgufType::kQ8_0 ? 32 : 16;
    for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::uint8_t>(random());
    blocks.bytes.append(reinterpret_cast<const char*>(data), bytes);
    for (std::size_t i = 0; i < 32; ++i) {
      const double scale = f16_to_float(d);
      const int nibble = i < 16 ? data[i] & 15 : data[i - 16] >> 4;
      double value = 0;
      if (type == GgufType::kQ8_0) value = scale * static_cast<std::int8_t>(data[i]);
      if (type == GgufType::kQ4_0) value = scale * (nibble - 8);
      if (type == GgufType::kQ4_1) value = scale * nibble + f16_to_float(m);
      blocks.values.push_back(static_cast<float>(value));
    }
  }
  return blocks;
}

class LosslessBlocks : public testing::TestWithParam<GgufType> {};

TEST_P(LosslessBlocks, BothSidesDequantiseToTheSameNumbers) {
  constexpr std::int64_t kRows = 300, kCols = 96;
  const Blocks blocks = random_blocks(GetParam(), kRows * kCols / 32, 1);
  GgufTensor tensor{.name = "t",
                    .type = static_cast<std::uint32_t>(GetParam()),
                    .shape = {kRows, kCols},
                    .data = as_span(blocks.bytes)};
  const auto affine = affine_from_blocks(tensor, "t");
  ASSERT_TRUE(affine) << affine.error().to_string();
  const WeightView view{.name = "t",
                        .format = affine->format,
                        .rows = kRows,
                        .cols = kCols,
                        .weight = reinterpret_cast<const std::byte*>(affine->weight.data()),
                        .scales = reinterpret_cast<const std::byte*>(affine->scales.data()),
                        .biases = reinterpret_cast<const std::byte*>(affine->biases.data())};
  std::vector<float> row(kCols);
  for (std::int64_t r = 0; r < kRows; ++r) {
    dequantize_row(view, r, row.data());
    for (std::int64_t c = 0; c < kCols; ++c)
      // Equal as numbers: d * q + m is one rounding of an exact value on both sides.
      ASSERT_EQ(row[static_cast<std::size_t>(c)],
                blocks.values[static_cast<std::size_t>(r * kCols + c)])
          << r << ", " << c;
  }
}

INSTANTIATE_TEST_SUITE_P(Gguf, LosslessBlocks,
                         testing::Values(GgufType::kQ4_0, GgufType::kQ4_1, GgufType::kQ8_0));

TEST(GgufBlocks, AScaleWhoseBiasLeavesFloat16IsRefused) {
  std::string bytes;
  GgufBuilder::append(bytes, float_to_f16(600.0f));  // 128 * 600 > 65504
  bytes += std::string(32, 'x');
  const GgufTensor tensor{.name = "t", .type = 8, .shape = {1, 32}, .data = as_span(bytes)};
  const auto affine = affine_from_blocks(tensor, "f.gguf: tensor 't'");
  ASSERT_FALSE(affine);
  EXPECT_EQ(affine.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace bobby
