// hello_tensors FILE: writes a file of two tensors, reads it back.

#include <iostream>
#include <safetensors/safetensors.h>
#include <span>
#include <vector>

namespace st = safetensors;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: hello_tensors FILE\n";
    return 2;
  }
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  const std::vector<std::uint8_t> mask = {1, 0, 1};
  std::vector<st::TensorData> tensors(2);
  tensors[0] = {{"weight", st::DType::kF32, {2, 3}}, std::as_bytes(std::span(weight))};
  tensors[1] = {{"mask", st::DType::kBool, {3}}, std::as_bytes(std::span(mask))};
  if (auto written = st::write_file(argv[1], tensors, {{"made_by", "hello_tensors"}}); !written) {
    std::cerr << written.error().to_string() << "\n";
    return 1;
  }

  const auto file = st::File::open(argv[1]);
  if (!file) {
    std::cerr << file.error().to_string() << "\n";
    return 1;
  }
  const auto values =
      file->get("weight").and_then([](const st::Tensor* tensor) { return tensor->as<float>(); });
  if (!values) {
    std::cerr << values.error().to_string() << "\n";
    return 1;
  }
  float sum = 0;
  for (const float value : *values) sum += value;
  std::cout << "sum of weight: " << sum << "\n";
  return sum == 21.0f ? 0 : 1;
}
