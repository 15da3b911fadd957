#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/backoff.h"

namespace bobby::hub {

/// The value of an environment variable; none when it is unset or empty.
using VariableLookup = std::function<std::optional<std::string>(std::string_view name)>;

/// What the hub's environment variables say, as its own library reads them.
struct HubSettings {
  /// HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, or
  /// ~/.cache/huggingface/hub: the first that is set.
  std::filesystem::path cache;
  std::string endpoint = "https://huggingface.co";  ///< HF_ENDPOINT
  /// HF_TOKEN, HUGGING_FACE_HUB_TOKEN, or what the file HF_TOKEN_PATH (HF_HOME/token) holds; empty:
  /// none, or HF_HUB_DISABLE_IMPLICIT_TOKEN.
  std::string token;
  bool offline = false;                       ///< HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE
  bool symlinks = true;                       ///< HF_HUB_DISABLE_SYMLINKS
  bool progress = true;                       ///< HF_HUB_DISABLE_PROGRESS_BARS
  std::chrono::seconds etag_timeout{10};      ///< HF_HUB_ETAG_TIMEOUT: of a question
  std::chrono::seconds download_timeout{10};  ///< HF_HUB_DOWNLOAD_TIMEOUT: without a byte
  net::Patience patience = {};

  /// Reads the variables. kUsage: an endpoint that is no server's address, a token that holds
  /// something other than printable ASCII; never the token's text.
  static Result<HubSettings> read(const VariableLookup& variable);
};

/// HubSettings::cache alone, which no value can make wrong.
std::filesystem::path hub_cache_folder(const VariableLookup& variable);

}  // namespace bobby::hub
