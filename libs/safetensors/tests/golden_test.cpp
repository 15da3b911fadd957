// Files made by the official Python library and by MLX; see data/README.md. Element i is i + 1.

#include <complex>
#include <string>

#include "support.h"

namespace safetensors::testing {
namespace {

std::filesystem::path data(std::string_view name) {
  return std::filesystem::path(SAFETENSORS_TEST_DATA) / name;
}

template <typename T>
void expect_counting(const File& file, std::string_view name, DType dtype) {
  SCOPED_TRACE(name);
  const Tensor* tensor = file.find(name);
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->dtype, dtype);
  EXPECT_EQ(tensor->shape, (std::vector<std::uint64_t>{3, 5}));
  const Result<AlignedView<T>> view = tensor->as<T>();
  ASSERT_TRUE(view) << sentence(view);
  ASSERT_EQ(view->size(), 15u);
  for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ((*view)[i], static_cast<T>(i + 1)) << i;
}

// The bits of 1.0 ... 15.0 in a 16-bit float: these are exact in both, so equal to shifted floats.
std::uint16_t bf16_bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  return static_cast<std::uint16_t>(bits >> 16);
}

std::uint16_t f16_bits(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, 4);
  return static_cast<std::uint16_t>((bits >> 13) - ((127u - 15u) << 10));
}

void expect_halves(const File& file, std::string_view name, DType dtype,
                   std::uint16_t (*bits)(float)) {
  const Tensor* tensor = file.find(name);
  ASSERT_NE(tensor, nullptr) << name;
  EXPECT_EQ(tensor->dtype, dtype);
  const auto view = tensor->as<std::uint16_t>();
  ASSERT_TRUE(view) << sentence(view);
  for (std::size_t i = 0; i < 15; ++i)
    EXPECT_EQ((*view)[i], bits(static_cast<float>(i + 1))) << name << " " << i;
}

TEST(Golden, OfficialLibrary) {
  const Result<File> file = File::open(data("official.safetensors"));
  ASSERT_TRUE(file) << sentence(file);
  EXPECT_EQ(file->metadata(), (Metadata{{"format", "np"}, {"k", "\u00e9"}}));
  EXPECT_EQ(file->tensors().size(), 16u);
  expect_counting<std::uint8_t>(*file, "u8", DType::kU8);
  expect_counting<std::int8_t>(*file, "i8", DType::kI8);
  expect_counting<std::uint16_t>(*file, "u16", DType::kU16);
  expect_counting<std::int16_t>(*file, "i16", DType::kI16);
  expect_counting<std::uint32_t>(*file, "u32", DType::kU32);
  expect_counting<std::int32_t>(*file, "i32", DType::kI32);
  expect_counting<std::uint64_t>(*file, "u64", DType::kU64);
  expect_counting<std::int64_t>(*file, "i64", DType::kI64);
  expect_counting<float>(*file, "f32", DType::kF32);
  expect_counting<double>(*file, "f64", DType::kF64);
  expect_counting<std::complex<float>>(*file, "c64", DType::kC64);
  expect_halves(*file, "f16", DType::kF16, f16_bits);
  const auto bools = file->get("bool").value()->as<std::uint8_t>().value();
  for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ(bools[i], i % 2 == 0 ? 1 : 0);
  EXPECT_TRUE(file->get("scalar").value()->shape.empty());
  EXPECT_EQ(file->get("empty").value()->shape, (std::vector<std::uint64_t>{2, 0}));
  EXPECT_NE(file->find("odd \"name\"\n\u00e9"), nullptr);
}

TEST(Golden, MlxFileIsMisalignedAndReadThroughCopies) {
  const Result<File> file = File::open(data("mlx.safetensors"));
  ASSERT_TRUE(file) << sentence(file);
  ASSERT_EQ(file->data_begin() % 2, 1u);
  EXPECT_EQ(file->metadata().at("format"), "mlx");
  EXPECT_EQ(file->tensors().size(), 9u);
  expect_counting<std::uint8_t>(*file, "u8", DType::kU8);
  expect_counting<std::uint16_t>(*file, "u16", DType::kU16);
  expect_counting<std::uint32_t>(*file, "u32", DType::kU32);
  expect_counting<std::int32_t>(*file, "i32", DType::kI32);
  expect_counting<std::int64_t>(*file, "i64", DType::kI64);
  expect_counting<float>(*file, "f32", DType::kF32);
  expect_counting<std::complex<float>>(*file, "c64", DType::kC64);
  expect_halves(*file, "f16", DType::kF16, f16_bits);
  expect_halves(*file, "bf16", DType::kBF16, bf16_bits);
  EXPECT_TRUE(file->find("u32")->as<std::uint32_t>()->is_copy() ||
              (file->data_begin() + file->find("u32")->begin) % 4 == 0);
}

// Our writer lays the same tensors out as the official one: same order, same offsets.
TEST(Golden, SameLayoutAsTheOfficialWriter) {
  const Result<File> official = File::open(data("official.safetensors"));
  ASSERT_TRUE(official) << sentence(official);
  std::vector<TensorData> tensors;
  for (const Tensor& tensor : official->tensors()) {
    TensorData copy;
    static_cast<TensorInfo&>(copy) = tensor;
    copy.data = tensor.data;
    tensors.insert(tensors.begin(), copy);  // another order than the file's
  }
  TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder / "f", tensors, official->metadata()));
  const Result<File> ours = File::open(folder / "f");
  ASSERT_TRUE(ours) << sentence(ours);
  ASSERT_EQ(ours->tensors().size(), official->tensors().size());
  for (std::size_t i = 0; i < ours->tensors().size(); ++i) {
    EXPECT_EQ(ours->tensors()[i].name, official->tensors()[i].name);
    EXPECT_EQ(ours->tensors()[i].begin, official->tensors()[i].begin);
  }
}

}  // namespace
}  // namespace safetensors::testing
