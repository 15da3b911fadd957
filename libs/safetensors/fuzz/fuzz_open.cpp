// Any bytes: the reader refuses them or gives a file whose tensors tile the data section. Strict
// and lenient readers differ in stray bytes alone.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "safetensors/safetensors.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_properties(const safetensors::File& file, std::size_t file_size) {
  std::uint64_t end = 0;
  for (const safetensors::Tensor& tensor : file.tensors()) {
    require(tensor.begin == end && tensor.data.size() == tensor.byte_size());
    end = tensor.end;
    require(safetensors::byte_count(tensor.dtype, tensor.shape).value() == tensor.byte_size());
    require(file.find(tensor.name) == &tensor);
    std::uint8_t sum = 0;  // touch all of it, in place and through a copy
    for (const std::byte b : tensor.data) sum ^= static_cast<std::uint8_t>(b);
    const auto copy = tensor.as<std::byte>(64);
    for (const std::byte b : *copy) sum ^= static_cast<std::uint8_t>(b);
    require(sum == 0);
  }
  require(file.data_begin() + end + file.stray_bytes() == file_size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto strict = safetensors::File::from_bytes(bytes);
  const auto lenient = safetensors::File::from_bytes(bytes, {.lenient = true});
  if (strict) {
    check_properties(*strict, size);
    require(lenient.has_value() && strict->stray_bytes() == 0);
  } else {
    require(!strict.error().to_string().empty());
  }
  if (lenient) check_properties(*lenient, size);
  return 0;
}
