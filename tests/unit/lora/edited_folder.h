#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/result.h"
#include "safetensors/safetensors.h"

namespace bobby::testing {

/// A tensor in memory, to be changed before it is written back.
struct OwnTensor {
  safetensors::DType dtype = safetensors::DType::kF32;
  std::vector<std::uint64_t> shape;
  std::vector<std::byte> bytes;
};
using OwnTensors = std::map<std::string, OwnTensor>;

/// A float32 tensor with all elements `value`.
inline OwnTensor constant(std::vector<std::uint64_t> shape, float value) {
  std::size_t count = 1;
  for (const std::uint64_t extent : shape) count *= extent;
  const std::vector<float> values(count, value);
  OwnTensor tensor{safetensors::DType::kF32, std::move(shape), {}};
  tensor.bytes.resize(count * sizeof(float));
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

/// A copy of a good folder that a test breaks; removed at the end.
class EditedFolder {
 public:
  explicit EditedFolder(const std::filesystem::path& original) {
    std::string name = std::filesystem::temp_directory_path() / "bobby-XXXXXX";
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
    std::filesystem::copy(original, path_, std::filesystem::copy_options::recursive);
  }
  ~EditedFolder() { std::filesystem::remove_all(path_); }
  EditedFolder(const EditedFolder&) = delete;
  EditedFolder& operator=(const EditedFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  void json(const std::string& file, const std::function<void(nlohmann::json&)>& edit) {
    std::ifstream in(path_ / file);
    nlohmann::json value = nlohmann::json::parse(in);
    in.close();
    edit(value);
    std::ofstream(path_ / file) << value;
  }

  void tensors(const std::string& file, const std::function<void(OwnTensors&)>& edit) {
    OwnTensors all;
    {
      const auto opened = safetensors::File::open(path_ / file);
      for (const safetensors::Tensor& tensor : opened->tensors())
        all[tensor.name] = {tensor.dtype, tensor.shape, {tensor.data.begin(), tensor.data.end()}};
    }
    edit(all);
    std::vector<safetensors::TensorData> list;
    for (const auto& [name, tensor] : all)
      list.push_back({{name, tensor.dtype, tensor.shape}, tensor.bytes});
    if (const auto written = safetensors::write_file(path_ / file, list); !written)
      throw std::runtime_error(written.error().to_string());
  }

  /// Leaves the first `share` of a file.
  void truncate(const std::string& file, double share) {
    const auto size = std::filesystem::file_size(path_ / file);
    std::filesystem::resize_file(path_ / file,
                                 static_cast<std::uintmax_t>(static_cast<double>(size) * share));
  }

 private:
  std::filesystem::path path_;
};

/// The sentence of a failure, or "" where there was none.
template <typename T>
std::string sentence(const Result<T>& result) {
  return result ? "" : result.error().to_string();
}

inline bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace bobby::testing
