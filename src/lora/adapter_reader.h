#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lora/adapter.h"
#include "lora/json_object.h"
#include "safetensors/safetensors.h"

namespace bobby {

/// The tensors of one adapted module, as the file has them.
struct ModuleTensors {
  const safetensors::Tensor* a = nullptr;
  const safetensors::Tensor* b = nullptr;
  const safetensors::Tensor* magnitude = nullptr;
};

/// How one dialect stores a module.
struct TensorLayout {
  bool a_is_transposed = false;      ///< [in_features, rank] rather than [rank, in_features]
  bool b_is_transposed = false;      ///< [rank, out_features] rather than [out_features, rank]
  std::string_view a, b, magnitude;  ///< what the tensors are called, for messages
};

/// Sorts an adapter file's tensors by module, then turns each module into the seam's layout in
/// fp32. Every tensor that is unknown, missing or misshapen becomes a problem.
class AdapterReader {
 public:
  AdapterReader(const safetensors::File& file, std::vector<Error>& problems)
      : file_(file), problems_(problems) {}

  const safetensors::File& file() const { return file_; }
  /// The slots of a module, made when it is first named.
  ModuleTensors& tensors_of(const std::string& path) { return modules_[path]; }
  const std::map<std::string, ModuleTensors>& modules() const { return modules_; }
  void unknown_tensor(const safetensors::Tensor& tensor, std::string hint = {});

  /// Reads a module of `rank` with `scale`, or notes what is wrong with it.
  void read(const std::string& path, const TensorLayout& layout, std::int64_t rank, float scale,
            Adapter& adapter);

 private:
  bool has_all(const std::string& path, const ModuleTensors& tensors, const TensorLayout& layout,
               bool dora);
  bool is_matrix(const safetensors::Tensor& tensor, bool rank_is_last, std::int64_t rank);
  std::vector<float> widened(const safetensors::Tensor& tensor);
  void report(ErrorCode code, std::string_view tensor, std::string problem,
              std::string expected = {}, std::string found = {}, std::string hint = {});

  const safetensors::File& file_;
  std::vector<Error>& problems_;
  std::map<std::string, ModuleTensors> modules_;
};

/// The two dialects: the config into `adapter`, then every module by way of `reader`.
void read_mlx_adapter(JsonObject& config, AdapterReader& reader, Adapter& adapter);
void read_peft_adapter(JsonObject& config, AdapterReader& reader, Adapter& adapter);

}  // namespace bobby
