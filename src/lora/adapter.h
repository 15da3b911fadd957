#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace bobby {

/// One adapted module, in the seam's layout and in fp32 (bf16 files widen exactly).
struct AdapterModule {
  std::string path;  ///< the checkpoint's module path: "model.layers.20.self_attn.q_proj"
  std::int64_t rank = 0;
  std::int64_t in_features = 0;   ///< for embed_tokens: vocab_size
  std::int64_t out_features = 0;  ///< for embed_tokens: hidden_size
  std::vector<float> a;           ///< [rank, in_features]
  std::vector<float> b;           ///< [out_features, rank]
  std::vector<float> magnitude;   ///< DoRA: [out_features]; empty for LoRA
  float scale = 0.0f;             ///< this module's effective scale: what multiplies B(Ax)
  DType dtype = DType::kF32;      ///< the file's, where a and b agree and it widens; else float32
};

/// An adapter, read and checked for itself; Model::attach() checks it against a base.
struct Adapter {
  enum class Source { kMlx, kPeft, kGguf };

  std::filesystem::path folder;  ///< kGguf: the file
  Source source = Source::kMlx;
  bool dora = false;
  /// The adapter's own scale: mlx-lm's `scale` as it stands; PEFT's alpha/rank or alpha/sqrt(rank);
  /// GGUF's alpha/rank, of most of its modules. Modules with a rank or alpha of their own differ in
  /// AdapterModule::scale.
  float scale = 0.0f;
  std::string base_name;     ///< the base as its config names it; empty: it does not
  std::string architecture;  ///< kGguf: "llama", "qwen3", ...; empty for the others
  /// kGguf: the rows of b of q_proj and k_proj stand in neighbouring pairs, and the file does not
  /// say how long a head is (gguf/row_order.h). Whoever uses them puts them in order.
  bool paired_rows = false;
  std::optional<std::int64_t> num_layers;    ///< mlx-lm: the last num_layers blocks; <= 0 is all
  std::vector<std::string> keys;             ///< mlx-lm lora_parameters.keys; empty: every linear
  std::vector<std::string> target_modules;   ///< PEFT; {"all-linear"}: all but the head
  std::vector<std::string> exclude_modules;  ///< PEFT; wins over target_modules
  std::vector<std::int64_t> layers_to_transform;  ///< PEFT; empty: every block
  std::vector<AdapterModule> modules;
  std::string sha256;  ///< hex digest of the tensor file's bytes: what caches are keyed by

  /// Numbers in all pairs, and in DoRA's magnitudes.
  std::int64_t parameter_count() const;
  /// Whether adapter_config.json says that the module at `path` is adapted, in a model of
  /// `num_hidden_layers` blocks.
  bool targets(std::string_view path, std::int64_t num_hidden_layers) const;
  /// Whether a base with config.json's `model_type` can be meant: false when a GGUF file names
  /// another architecture.
  bool may_adapt(std::string_view model_type) const;
};

/// "mlx", "peft", "gguf".
std::string_view source_name(Adapter::Source source);

/// Reads an mlx-lm (`adapters.safetensors`) or PEFT (`adapter_model.safetensors`) folder with its
/// adapter_config.json, or a GGUF file as llama.cpp reads it. All bad keys, or all bad tensors, are
/// reported in one Error. Refused by name: whatever changes the arithmetic and is not implemented,
/// and numbers that are not finite.
Result<Adapter> load_adapter(const std::filesystem::path& path);

/// The same of a GGUF file in memory; `name` stands in errors. Adapter::sha256 stays empty.
Result<Adapter> parse_gguf_adapter(std::span<const std::byte> bytes, std::string name);

/// b of `module` with its rows put in the checkpoint's order, where Adapter::paired_rows holds and
/// the module is one of those; otherwise empty. kMismatch: `head_dim` does not divide the rows.
Result<std::vector<float>> unpaired_b(const Adapter& adapter, const AdapterModule& module,
                                      std::int64_t head_dim);

}  // namespace bobby
