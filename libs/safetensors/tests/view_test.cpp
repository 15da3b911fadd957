#include <complex>
#include <cstring>
#include <set>

#include "support.h"

namespace safetensors::testing {
namespace {

// One F32 tensor [3] at `shift` bytes from a 64-byte boundary.
class ShiftedTensor {
 public:
  explicit ShiftedTensor(std::size_t shift) {
    tensor_.name = "t";
    tensor_.shape = {3};
    tensor_.end = sizeof(kValues);
    std::memcpy(storage_ + shift, kValues, sizeof(kValues));
    tensor_.data = {storage_ + shift, sizeof(kValues)};
  }
  const Tensor& tensor() const { return tensor_; }

  static constexpr float kValues[3] = {1.5f, -2.0f, 3.25f};

 private:
  alignas(64) std::byte storage_[128] = {};
  Tensor tensor_;
};

TEST(View, AlignedDataIsNotCopied) {
  for (const std::size_t shift : {0u, 4u, 60u}) {
    const ShiftedTensor shifted(shift);
    const auto view = shifted.tensor().as<float>();
    ASSERT_TRUE(view);
    EXPECT_FALSE(view->is_copy());
    EXPECT_EQ(static_cast<const void*>(view->data()), shifted.tensor().data.data());
  }
}

TEST(View, MisalignedDataIsCopied) {
  for (const std::size_t shift : {1u, 2u, 3u, 61u}) {
    const ShiftedTensor shifted(shift);
    auto view = shifted.tensor().as<float>();
    ASSERT_TRUE(view);
    EXPECT_TRUE(view->is_copy());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view->data()) % alignof(float), 0u);
    const std::span<const float> before = view->span();
    const AlignedView<float> moved = std::move(*view);
    EXPECT_EQ(moved.data(), before.data());
    EXPECT_TRUE(std::ranges::equal(moved, ShiftedTensor::kValues));
  }
}

TEST(View, WiderAlignmentOnRequest) {
  const ShiftedTensor shifted(4);
  const auto view = shifted.tensor().as<std::byte>(64);
  ASSERT_TRUE(view);
  EXPECT_TRUE(view->is_copy());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view->data()) % 64, 0u);
  EXPECT_EQ(view->size(), 12u);
  EXPECT_TRUE(ShiftedTensor(0).tensor().as<float>(1).has_value());  // never under alignof(T)
}

TEST(View, WrongElementTypeIsRefused) {
  const ShiftedTensor shifted(0);
  EXPECT_EQ(shifted.tensor().as<std::int32_t>().error().code, ErrorCode::kDTypeMismatch);
  const Error error = shifted.tensor().as<std::uint16_t>().error();
  EXPECT_EQ(error.tensor, "t");
  EXPECT_EQ(error.found, "F32 [3]");
}

template <typename T>
std::set<DType> held() {
  std::set<DType> dtypes;
  for (const DType dtype : all_dtypes())
    if (ElementTraits<T>::holds(dtype)) dtypes.insert(dtype);
  return dtypes;
}

template <typename T>
void expect_sizes_fit() {
  for (const DType dtype : held<T>()) EXPECT_EQ(dtype_bits(dtype), 8 * sizeof(T));
}

TEST(View, ElementTypesFitTheirDtypes) {
  expect_sizes_fit<float>();
  expect_sizes_fit<double>();
  expect_sizes_fit<std::complex<float>>();
  expect_sizes_fit<std::int8_t>();
  expect_sizes_fit<std::int16_t>();
  expect_sizes_fit<std::int32_t>();
  expect_sizes_fit<std::int64_t>();
  expect_sizes_fit<std::uint8_t>();
  expect_sizes_fit<std::uint16_t>();
  expect_sizes_fit<std::uint32_t>();
  expect_sizes_fit<std::uint64_t>();
  EXPECT_EQ(held<std::uint16_t>(), (std::set{DType::kU16, DType::kF16, DType::kBF16}));
  EXPECT_EQ(held<std::byte>().size(), all_dtypes().size());
}

}  // namespace
}  // namespace safetensors::testing
