#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "safetensors/dtype.h"
#include "safetensors/error.h"
#include "safetensors/view.h"

namespace safetensors {

/// The format is little-endian and this library reads it in place.
static_assert(std::endian::native == std::endian::little, "little-endian machines only");

/// The free-form strings under `__metadata__`.
using Metadata = std::map<std::string, std::string, std::less<>>;

/// What a tensor is, without its data.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::uint64_t> shape;  ///< row-major; [] is a scalar; a 0 makes an empty tensor
};

/// One tensor of an open File, which must outlive it.
struct Tensor : TensorInfo {
  std::uint64_t begin = 0;  ///< `data_offsets`: bytes from the start of the data section
  std::uint64_t end = 0;
  std::span<const std::byte> data;  ///< end - begin bytes, at any alignment

  /// Bytes of the data.
  std::uint64_t byte_size() const { return end - begin; }
  std::uint64_t size() const;  ///< number of elements

  /// The elements as T, copied only if they do not lie at a multiple of `alignment` (a power of
  /// two; at least alignof(T) is used). kDTypeMismatch when T cannot hold this dtype, see
  /// ElementTraits; as<std::byte>(64) gives any dtype's bytes at a cache line. kOutOfMemory.
  template <Element T>
  Result<AlignedView<T>> as(std::size_t alignment = alignof(T)) const {
    if (!ElementTraits<T>::holds(dtype)) return fail(view_error(ErrorCode::kDTypeMismatch));
    try {
      return AlignedView<T>(data, alignment < alignof(T) ? alignof(T) : alignment);
    } catch (const std::bad_alloc&) {
      return fail(view_error(ErrorCode::kOutOfMemory));
    }
  }

 private:
  Error view_error(ErrorCode code) const;
};

/// "[2, 3]" and "F32 [2, 3]", for messages.
std::string describe(std::span<const std::uint64_t> shape);
std::string describe(DType dtype, std::span<const std::uint64_t> shape);

}  // namespace safetensors
