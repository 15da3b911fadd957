#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "voice/post_rules.h"
#include "voice/prompt_form.h"

namespace bobby::server {

/// An adapter that a request asks for.
struct AdapterChoice {
  std::string name;
  std::optional<float> scale;  ///< in place of the folder's own
  bool operator==(const AdapterChoice&) const = default;
};

/// An adapter that is on offer.
struct AdapterEntry {
  std::string name;
  std::string folder;
  std::string format;  ///< "mlx", "peft", "gguf"
  std::int64_t rank = 0;
  float scale = 0.0f;
  std::vector<std::string> modules;  ///< kinds of module: "q_proj"
  std::int64_t parameters = 0;
  std::string sha256;       ///< of its tensors' file
  bool is_default = false;  ///< used when a request names none
  std::string loaded_at;    ///< RFC 3339; "" while it has not been used
};

/// How a voice is asked, and how its answers become posts.
struct Voice {
  PromptForm form;
  PostRules rules;
};

/// The adapters that requests may name. Thread-safe; find(), load() and voice() may read files.
class AdapterDirectory {
 public:
  virtual ~AdapterDirectory() = default;

  virtual std::vector<AdapterEntry> list() const = 0;

  /// The adapter as rows of a request use it; what it has then stays its own until it is dropped.
  /// kNotFound names the nearest one.
  virtual Result<AdapterUse> find(const AdapterChoice& choice) = 0;

  /// Offers the folder that `path` is or names, under `name` or the folder's own. kUsage: a bad
  /// name; kMismatch: the name is taken by another folder; otherwise what reading it reports.
  virtual Result<AdapterEntry> load(const std::string& path, const std::string& name) = 0;

  /// Takes it out; what runs with it keeps it. kNotFound.
  virtual Result<void> unload(std::string_view name) = 0;

  /// What the server's settings, these adapters' voice files and the model say, in that order.
  virtual Result<Voice> voice(std::span<const AdapterChoice> choices) = 0;
};

}  // namespace bobby::server
