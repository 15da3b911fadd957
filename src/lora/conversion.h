#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lora/adapter.h"

namespace bobby {

/// What writing an adapter in another dialect may have to know of its base, from config.json.
struct BaseFacts {
  std::string name;  ///< how it is called, for an adapter that does not say what its base is
  std::string model_type;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  bool tie_word_embeddings = false;
};

/// Where an adapter goes.
struct AdapterTarget {
  Adapter::Source dialect = Adapter::Source::kMlx;
  std::filesystem::path path;             ///< a folder, or kGguf's file; must not exist
  std::optional<BaseFacts> base;          ///< kGguf needs it; the others for some modules
  std::optional<std::string> voice_json;  ///< travels along as it is
};

/// What was written.
struct AdapterWritten {
  std::int64_t modules = 0;
  /// What the dialect could not hold exactly, a sentence each; empty: every product that the
  /// adapter makes is the same number.
  std::vector<std::string> inexact;
};

/// The adapter with the rows of b in the checkpoint's order, for who computes with its numbers
/// without Model::attach(): as it is unless Adapter::paired_rows. kMismatch: it was made for
/// another architecture than `model_type`, or for heads of another size.
Result<Adapter> in_checkpoint_order(Adapter adapter, std::string_view model_type,
                                    std::int64_t head_dim);

/// Writes `adapter` in the dialect of `target`, whole or not at all: names, orders of rows,
/// transposes and the scale as that dialect has them; numbers stay as they are, in the type of the
/// file they came from (kGguf: float32). Errors: kUsage (it exists, or the base is needed and not
/// given), kUnsupported naming what the dialect cannot hold, kMismatch with the base, kIo.
Result<AdapterWritten> write_adapter(Adapter adapter, const AdapterTarget& target);

}  // namespace bobby
