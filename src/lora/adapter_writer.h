#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "lora/adapter.h"
#include "lora/conversion.h"
#include "safetensors/writer.h"

namespace bobby {

/// Which modules an adapter has: of which blocks, and outside them.
struct ModuleSet {
  std::vector<std::int64_t> layers;  ///< ascending
  std::vector<std::string> names;    ///< in the blocks: "self_attn.q_proj", ...
  std::vector<std::string> outer;    ///< whole paths outside the blocks
  bool same_in_all = true;           ///< every one of the blocks has every one of the names
};
ModuleSet module_set(const Adapter& adapter);

/// A float32 matrix [rows, cols] to be written as `dtype`, or its transpose.
struct MatrixToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;  ///< 0: a vector of `rows`
  bool transposed = false;
  const std::vector<float>* values = nullptr;
};

/// Writes a safetensors file with one matrix in memory beside them. kIo.
Result<void> write_matrices(const std::filesystem::path& path,
                            const std::vector<MatrixToWrite>& matrices,
                            const safetensors::Metadata& metadata);

/// b times `factor`, which may round: then `inexact` is counted up.
void multiply_b(AdapterModule& module, double factor, std::int64_t& inexact);

/// The sentence about modules whose b was rounded when another scale was folded into it.
std::string folded_sentence(std::int64_t modules);

/// A float as the shortest decimal that reads back as it.
nlohmann::json shortest_json(float value);

/// The dialects. `adapter` has its rows in the checkpoint's order; they may change it.
Result<AdapterWritten> write_mlx_adapter(Adapter& adapter, const AdapterTarget& target);
Result<AdapterWritten> write_peft_adapter(Adapter& adapter, const AdapterTarget& target);
Result<AdapterWritten> write_gguf_adapter(Adapter& adapter, const AdapterTarget& target);

}  // namespace bobby
