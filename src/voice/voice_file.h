#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "voice/post_rules.h"
#include "voice/prompt_form.h"

namespace bobby {

/// `voice.json` of an adapter folder: how this voice is asked and how its answers become posts.
/// Every key is optional.
///   {"prompt_form": "chatml" | {"name": ..., "begin": ..., "system_begin": ..., "system_end": ...,
///        "system": ..., "user_begin": ..., "user_end": ..., "assistant_begin": ..., "stops": []},
///    "prefix_sha256": "...", "base_digest": "...", "data_sha256": "...", "settings": {...},
///    "post": {"remove_emojis": true, "remove_hashtags": true, "char_limit": 300, "min_chars": 20}}
struct VoiceFile {
  std::optional<PromptForm> prompt_form;
  std::optional<std::string> prefix_sha256;  ///< prompt_prefix_sha256() of training
  std::optional<std::string> base_digest;    ///< model_digest() of the adapter's base
  std::optional<std::string> data_sha256;    ///< of the manifest of the data, or of the data itself
  std::optional<std::string> settings;       ///< a JSON object: what training was asked for
  std::optional<bool> remove_emojis;
  std::optional<bool> remove_hashtags;
  std::optional<std::int64_t> char_limit;
  std::optional<std::int64_t> min_chars;

  bool operator==(const VoiceFile&) const = default;
};

/// Reads `folder`/voice.json; nullopt when there is none. kMalformed, kUnsupported: every unknown
/// key (with the nearest known one) and every wrong value in one Error.
Result<std::optional<VoiceFile>> load_voice_file(const std::filesystem::path& folder);
Result<VoiceFile> parse_voice_file(std::string_view json, std::string_view name);
std::string voice_file_json(const VoiceFile& voice);

/// `rules` with what the file sets put in their place.
PostRules apply_voice(const VoiceFile& voice, PostRules rules);

}  // namespace bobby
