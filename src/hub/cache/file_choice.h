#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::hub {

/// What of a repository is needed.
enum class Content : std::uint8_t {
  kAny,        ///< whichever it holds
  kModel,      ///< config.json, tokenizer, weights
  kAdapter,    ///< adapter_config.json, adapter weights, voice.json
  kTokenizer,  ///< the tokenizer alone
};

inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";

/// Which files of a repository a pull gets. Small ones come first, so that a repository whose
/// weights are there has the rest too.
struct FileChoice {
  std::vector<std::string> small;    ///< with the index, if there is one
  std::vector<std::string> weights;  ///< when there is no index
  bool has_index = false;
  bool has_model = false;
};

/// The files of `paths` that `content` needs: of a model, at the root, what `bobby` and mlx-lm
/// read; weights in safetensors alone. `include` are patterns ("*.gguf", "*" also matches "/") of
/// further files, `exclude` of files not to get. kNotFound: the repository holds no such thing.
Result<FileChoice> choose_files(const std::vector<std::string>& paths, Content content,
                                const std::vector<std::string>& include,
                                const std::vector<std::string>& exclude);

/// The weights' files that an index names. kMalformed: it is no index, or names a file outside its
/// folder; `where` is for messages.
Result<std::vector<std::string>> indexed_weights(std::string_view json, const std::string& where);

/// Whether one of the patterns matches.
bool matches_any(const std::vector<std::string>& patterns, const std::string& path);

}  // namespace bobby::hub
