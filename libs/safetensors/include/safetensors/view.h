#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include "safetensors/dtype.h"

namespace safetensors {

/// Which dtypes a C++ type can stand for. Types without a C++ counterpart are seen as their bits:
/// F16 and BF16 as std::uint16_t, F8 and BOOL as std::uint8_t (a byte of a file need not be a valid
/// bool). std::byte stands for the raw bytes of any dtype, sub-byte ones included. Specialise it
/// for a half type of your own; it must be trivially copyable and of the dtype's size.
template <typename T>
struct ElementTraits;

template <DType... Ds>
struct HoldsOneOf {
  static constexpr bool holds(DType dtype) { return ((dtype == Ds) || ...); }
};

// clang-format off
template <> struct ElementTraits<float> : HoldsOneOf<DType::kF32> {};
template <> struct ElementTraits<double> : HoldsOneOf<DType::kF64> {};
template <> struct ElementTraits<std::complex<float>> : HoldsOneOf<DType::kC64> {};
template <> struct ElementTraits<std::int8_t> : HoldsOneOf<DType::kI8> {};
template <> struct ElementTraits<std::int16_t> : HoldsOneOf<DType::kI16> {};
template <> struct ElementTraits<std::int32_t> : HoldsOneOf<DType::kI32> {};
template <> struct ElementTraits<std::int64_t> : HoldsOneOf<DType::kI64> {};
template <> struct ElementTraits<std::uint8_t>
    : HoldsOneOf<DType::kU8, DType::kBool, DType::kF8E5M2, DType::kF8E4M3, DType::kF8E8M0,
                 DType::kF8E4M3FNUZ, DType::kF8E5M2FNUZ> {};
template <> struct ElementTraits<std::uint16_t>
    : HoldsOneOf<DType::kU16, DType::kF16, DType::kBF16> {};
template <> struct ElementTraits<std::uint32_t> : HoldsOneOf<DType::kU32> {};
template <> struct ElementTraits<std::uint64_t> : HoldsOneOf<DType::kU64> {};
template <> struct ElementTraits<std::byte> {
  static constexpr bool holds(DType) { return true; }
};
// clang-format on

template <typename T>
concept Element = std::is_trivially_copyable_v<T> && requires(DType dtype) {
  { ElementTraits<T>::holds(dtype) } -> std::same_as<bool>;
};

/// Elements of a tensor at an address that suits them: the file's own memory when that is aligned,
/// else a copy that this object owns. Move-only; spans taken from it stay valid when it is moved.
template <Element T>
class AlignedView {
 public:
  /// `bytes` is a whole number of T. `alignment` is a power of two, at least alignof(T). Throws
  /// std::bad_alloc; Tensor::as() catches it.
  AlignedView(std::span<const std::byte> bytes, std::size_t alignment) {
    const std::size_t count = bytes.size() / sizeof(T);
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignment == 0) {
      elements_ = {reinterpret_cast<const T*>(bytes.data()), count};
      return;
    }
    const std::align_val_t at{alignment};
    copy_ = {static_cast<std::byte*>(::operator new(bytes.size(), at)), Delete{at}};
    std::memcpy(copy_.get(), bytes.data(), bytes.size());
    elements_ = {reinterpret_cast<const T*>(copy_.get()), count};
  }

  /// The elements in row-major order; they live as long as the view and what it was made from.
  std::span<const T> span() const { return elements_; }
  const T* data() const { return elements_.data(); }
  std::size_t size() const { return elements_.size(); }
  const T& operator[](std::size_t index) const { return elements_[index]; }
  auto begin() const { return elements_.begin(); }
  auto end() const { return elements_.end(); }

  /// Whether this object owns a copy; if not, the file must outlive it.
  bool is_copy() const { return copy_ != nullptr; }

 private:
  struct Delete {
    std::align_val_t alignment{1};
    void operator()(std::byte* memory) const { ::operator delete(memory, alignment); }
  };

  std::unique_ptr<std::byte, Delete> copy_;
  std::span<const T> elements_;
};

}  // namespace safetensors
