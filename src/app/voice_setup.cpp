#include "app/voice_setup.h"

#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "lora/gguf_adapter.h"

namespace bobby {
namespace {

std::optional<std::string> read_text(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// The chat template of a model folder, "" without one: chat_template.jinja, or chat_template of
// tokenizer_config.json (a text, or a list of which "default" is meant).
Result<std::string> chat_template(const std::filesystem::path& folder) {
  if (auto text = read_text(folder / "chat_template.jinja")) return *std::move(text);
  const auto text = read_text(folder / "tokenizer_config.json");
  if (!text) return std::string();
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return fail({.code = ErrorCode::kMalformed,
                 .where = (folder / "tokenizer_config.json").string(),
                 .problem = "is not a JSON object"});
  const auto found = json.find("chat_template");
  if (found == json.end() || found->is_null()) return std::string();
  if (found->is_string()) return found->get<std::string>();
  if (found->is_array())
    for (const auto& entry : *found)
      if (entry.is_object() && entry.value("name", nlohmann::json()) == "default" &&
          entry.contains("template") && entry["template"].is_string())
        return entry["template"].get<std::string>();
  return fail({.code = ErrorCode::kMalformed,
               .where = (folder / "tokenizer_config.json").string() + ": key 'chat_template'",
               .problem = "is neither a text nor a list with a template named \"default\""});
}

bool is_set(const Settings& settings, Opt id) {
  return settings.setting(id).origin != Setting().origin;
}

}  // namespace

Result<std::optional<VoiceFile>> load_adapter_voice(const std::filesystem::path& adapter) {
  std::error_code status;
  if (!std::filesystem::is_regular_file(adapter, status)) return load_voice_file(adapter);
  BOBBY_TRY(const auto text, gguf_adapter_voice(adapter));
  if (!text) return std::optional<VoiceFile>();
  BOBBY_TRY(VoiceFile voice, parse_voice_file(*text, adapter.string()));
  return std::optional<VoiceFile>(std::move(voice));
}

void apply_settings(const Settings& settings, PostRules& rules) {
  if (is_set(settings, Opt::kCharLimit)) rules.char_limit = settings.integer(Opt::kCharLimit);
  if (is_set(settings, Opt::kMinChars)) rules.min_chars = settings.integer(Opt::kMinChars);
  if (is_set(settings, Opt::kKeepEmojis)) rules.remove_emojis = !settings.flag(Opt::kKeepEmojis);
  if (is_set(settings, Opt::kKeepHashtags))
    rules.remove_hashtags = !settings.flag(Opt::kKeepHashtags);
}

Result<VoiceSetup> set_up_voice(const Settings& settings, const std::filesystem::path& model_folder,
                                std::string_view model_type,
                                const std::vector<ChosenAdapter>& adapters) {
  VoiceSetup setup;
  std::optional<PromptForm> form;
  if (settings.given(Opt::kPromptForm)) {
    BOBBY_TRY(form, find_prompt_form(settings.text(Opt::kPromptForm)));
  }
  std::vector<std::pair<std::string, std::string>> trained_prefixes;
  bool rules_set = false;
  for (const ChosenAdapter& chosen : adapters) {
    BOBBY_TRY(const std::optional<VoiceFile> voice, load_adapter_voice(chosen.name.folder));
    if (!voice) continue;
    if (!form) form = voice->prompt_form;
    if (!std::exchange(rules_set, true)) setup.rules = apply_voice(*voice, setup.rules);
    if (voice->prefix_sha256)
      trained_prefixes.emplace_back(chosen.name.folder.string(), *voice->prefix_sha256);
  }
  apply_settings(settings, setup.rules);
  if (!form) {
    BOBBY_TRY(const std::string text, chat_template(model_folder));
    BOBBY_TRY(form, choose_prompt_form(model_folder.string(), model_type, text));
  }
  setup.form = *std::move(form);
  for (const auto& [folder, prefix] : trained_prefixes)
    if (prefix != prompt_prefix_sha256(setup.form))
      setup.warnings.push_back(fmt::format(
          "{} was trained with another prompt form than '{}': it may not sound as it should",
          folder, setup.form.name));
  return setup;
}

}  // namespace bobby
