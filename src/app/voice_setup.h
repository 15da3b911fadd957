#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/engine.h"
#include "app/settings.h"
#include "base/result.h"
#include "voice/post_rules.h"
#include "voice/prompt_form.h"
#include "voice/voice_file.h"

namespace bobby {

/// How posts are asked for and cleaned.
struct VoiceSetup {
  PromptForm form;
  PostRules rules;
  std::vector<std::string> warnings;  ///< e.g. an adapter that was trained with another prompt form
};

/// voice.json of an adapter's folder, or what its GGUF file holds of it; nullopt: there is none.
Result<std::optional<VoiceFile>> load_adapter_voice(const std::filesystem::path& adapter);

/// Puts what is set by flag, variable or config file into `rules`; what is not stays.
void apply_settings(const Settings& settings, PostRules& rules);

/// What is set by flag, variable or config file wins over the adapters' voice.json (the first that
/// says something), that over the model folder's own chat template, that over the defaults.
Result<VoiceSetup> set_up_voice(const Settings& settings, const std::filesystem::path& model_folder,
                                std::string_view model_type,
                                const std::vector<ChosenAdapter>& adapters);

}  // namespace bobby
