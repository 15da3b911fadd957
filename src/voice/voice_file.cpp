#include "voice/voice_file.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "base/nearest_name.h"

namespace bobby {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFileName = "voice.json";
/// A voice file is a page of text; anything larger is something else.
constexpr std::uintmax_t kLargestFile = 1 << 20;

constexpr std::array<std::string_view, 6> kKeys = {"prompt_form", "prefix_sha256", "base_digest",
                                                   "data_sha256", "settings",      "post"};
constexpr std::array<std::string_view, 4> kPostKeys = {"remove_emojis", "remove_hashtags",
                                                       "char_limit", "min_chars"};
constexpr std::array<std::string_view, 10> kFormKeys = {
    "name",   "begin",      "system_begin", "system_end",      "system_preface",
    "system", "user_begin", "user_end",     "assistant_begin", "stops"};

/// Reads values out of objects and gathers everything that is wrong with them.
class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  /// Whether `object` is one; its keys that are not among `known` are problems.
  bool check_object(const Json& object, std::string_view path,
                    std::span<const std::string_view> known) {
    if (!object.is_object()) {
      wrong(path, "is not an object", object);
      return false;
    }
    for (const auto& [key, value] : object.items())
      if (std::find(known.begin(), known.end(), key) == known.end())
        errors_.push_back(
            {.code = ErrorCode::kUnsupported,
             .where = where(std::string(path) + key),
             .problem = "is not a known key",
             .hint = "the nearest is '" + std::string(nearest_name(key, known)) + "'"});
    return true;
  }

  template <typename T>
  void read(const Json& object, std::string_view path, const char* key, T& out) {
    const auto it = object.find(key);
    if (it == object.end()) return;
    const std::string full = std::string(path) + key;
    if constexpr (std::is_same_v<T, std::optional<bool>>) {
      if (!it->is_boolean()) return wrong(full, "is not true or false", *it);
      out = it->template get<bool>();
    } else if constexpr (std::is_same_v<T, std::optional<std::int64_t>>) {
      if (!it->is_number_integer() || *it < 0 || *it > 1'000'000)
        return wrong(full, "is not a whole number from 0 to 1000000", *it);
      out = it->template get<std::int64_t>();
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      const bool strings = it->is_array() && std::all_of(it->begin(), it->end(), [](const Json& s) {
                             return s.is_string();
                           });
      if (!strings) return wrong(full, "is not a list of strings", *it);
      out = it->template get<std::vector<std::string>>();
    } else {
      if (!it->is_string()) return wrong(full, "is not a string", *it);
      out = it->template get<std::string>();
    }
  }

  void wrong(std::string_view key, std::string problem, const Json& found) {
    std::string text = found.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 60) + "...";
    errors_.push_back({.code = ErrorCode::kMalformed,
                       .where = where(key),
                       .problem = std::move(problem),
                       .found = std::move(text)});
  }
  void add(Error error) { errors_.push_back(std::move(error).in(file_)); }

  Result<void> finish() {
    if (errors_.empty()) return {};
    return fail(join_errors(std::move(errors_)));
  }

 private:
  std::string where(std::string_view key) const {
    return std::string(file_) + ": key '" + std::string(key) + "'";
  }
  std::string_view file_;
  std::vector<Error> errors_;
};

void read_prompt_form(const Json& json, Reader& reader, std::optional<PromptForm>& out) {
  if (json.is_string()) {
    Result<PromptForm> form = find_prompt_form(json.get<std::string>());
    if (form)
      out = *std::move(form);
    else
      reader.add(std::move(form).error());
    return;
  }
  constexpr std::string_view kPath = "prompt_form.";
  if (!reader.check_object(json, kPath, kFormKeys)) return;
  PromptForm form;
  reader.read(json, kPath, "name", form.name);
  reader.read(json, kPath, "begin", form.begin);
  reader.read(json, kPath, "system_begin", form.system_begin);
  reader.read(json, kPath, "system_end", form.system_end);
  reader.read(json, kPath, "system_preface", form.system_preface);
  reader.read(json, kPath, "system", form.system);
  reader.read(json, kPath, "user_begin", form.user_begin);
  reader.read(json, kPath, "user_end", form.user_end);
  reader.read(json, kPath, "assistant_begin", form.assistant_begin);
  reader.read(json, kPath, "stops", form.stops);
  out = std::move(form);
}

Json prompt_form_json(const PromptForm& form) {
  for (const PromptForm& known : prompt_forms())
    if (known == form) return form.name;
  Json json = {{"name", form.name},
               {"begin", form.begin},
               {"system_begin", form.system_begin},
               {"system_end", form.system_end}};
  if (!form.system_preface.empty()) json["system_preface"] = form.system_preface;
  if (form.system) json["system"] = *form.system;
  json["user_begin"] = form.user_begin;
  json["user_end"] = form.user_end;
  json["assistant_begin"] = form.assistant_begin;
  json["stops"] = form.stops;
  return json;
}

}  // namespace

Result<VoiceFile> parse_voice_file(std::string_view json, std::string_view name) {
  const Json document = Json::parse(json, nullptr, false);
  Reader reader(name);
  if (document.is_discarded())
    return fail({.code = ErrorCode::kMalformed,
                 .where = std::string(name),
                 .problem = "is not JSON",
                 .hint = "mend or remove it; the adapter works without it"});
  VoiceFile voice;
  if (!document.is_object())
    return fail({.code = ErrorCode::kMalformed,
                 .where = std::string(name),
                 .problem = "is not a JSON object"});
  reader.check_object(document, "", kKeys);
  reader.read(document, "", "prefix_sha256", voice.prefix_sha256);
  reader.read(document, "", "base_digest", voice.base_digest);
  reader.read(document, "", "data_sha256", voice.data_sha256);
  if (const auto settings = document.find("settings"); settings != document.end()) {
    if (settings->is_object())
      voice.settings = settings->dump();
    else
      reader.wrong("settings", "is not an object", *settings);
  }
  if (const auto form = document.find("prompt_form"); form != document.end())
    read_prompt_form(*form, reader, voice.prompt_form);
  if (const auto post = document.find("post");
      post != document.end() && reader.check_object(*post, "post.", kPostKeys)) {
    reader.read(*post, "post.", "remove_emojis", voice.remove_emojis);
    reader.read(*post, "post.", "remove_hashtags", voice.remove_hashtags);
    reader.read(*post, "post.", "char_limit", voice.char_limit);
    reader.read(*post, "post.", "min_chars", voice.min_chars);
  }
  BOBBY_CHECK(reader.finish());
  return voice;
}

Result<std::optional<VoiceFile>> load_voice_file(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kFileName;
  std::error_code code;
  const auto status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) return std::optional<VoiceFile>();
  const auto too_large = std::filesystem::file_size(path, code) > kLargestFile;
  if (code || !std::filesystem::is_regular_file(status))
    return fail({.code = ErrorCode::kIo, .where = path.string(), .problem = "cannot be read"});
  if (too_large)
    return fail({.code = ErrorCode::kLimit,
                 .where = path.string(),
                 .problem = "is too large for a voice file",
                 .expected = "at most 1 MiB"});
  std::ifstream stream(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  if (!stream)
    return fail({.code = ErrorCode::kIo, .where = path.string(), .problem = "cannot be read"});
  BOBBY_TRY(VoiceFile voice, parse_voice_file(text, path.string()));
  return std::optional<VoiceFile>(std::move(voice));
}

std::string voice_file_json(const VoiceFile& voice) {
  Json json = Json::object();
  if (voice.prompt_form) json["prompt_form"] = prompt_form_json(*voice.prompt_form);
  if (voice.prefix_sha256) json["prefix_sha256"] = *voice.prefix_sha256;
  if (voice.base_digest) json["base_digest"] = *voice.base_digest;
  if (voice.data_sha256) json["data_sha256"] = *voice.data_sha256;
  if (voice.settings) json["settings"] = Json::parse(*voice.settings, nullptr, false);
  Json post = Json::object();
  if (voice.remove_emojis) post["remove_emojis"] = *voice.remove_emojis;
  if (voice.remove_hashtags) post["remove_hashtags"] = *voice.remove_hashtags;
  if (voice.char_limit) post["char_limit"] = *voice.char_limit;
  if (voice.min_chars) post["min_chars"] = *voice.min_chars;
  if (!post.empty()) json["post"] = std::move(post);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

PostRules apply_voice(const VoiceFile& voice, PostRules rules) {
  rules.remove_emojis = voice.remove_emojis.value_or(rules.remove_emojis);
  rules.remove_hashtags = voice.remove_hashtags.value_or(rules.remove_hashtags);
  rules.char_limit = voice.char_limit.value_or(rules.char_limit);
  rules.min_chars = voice.min_chars.value_or(rules.min_chars);
  return rules;
}

}  // namespace bobby
