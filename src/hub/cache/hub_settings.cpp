#include "hub/cache/hub_settings.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>

#include "http/url.h"

namespace bobby::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestToken = 1024;

fs::path home(const VariableLookup& variable) {
  return variable("HOME").value_or(".");
}

// "$NAME" and "${NAME}" as a shell would read them; what is not set stays as it is.
std::string with_variables(std::string_view text, const VariableLookup& variable) {
  constexpr std::string_view kNameCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  std::string result;
  for (auto dollar = text.find('$'); dollar != text.npos; dollar = text.find('$')) {
    result += text.substr(0, dollar);
    text.remove_prefix(dollar + 1);
    const bool braced = text.starts_with('{');
    const std::string_view rest = text.substr(braced ? 1 : 0);
    const std::string_view name = rest.substr(0, rest.find_first_not_of(kNameCharacters));
    const bool closed = !braced || rest.substr(name.size()).starts_with('}');
    const auto value = closed ? variable(name) : std::nullopt;
    result += value.value_or("$");
    if (value) text.remove_prefix(name.size() + (braced ? 2 : 0));
  }
  return result.append(text);
}

// A path with "~/" at its beginning and variables in it.
fs::path expanded(const std::string& text, const VariableLookup& variable) {
  if (text == "~") return home(variable);
  if (text.starts_with("~/")) return home(variable) / with_variables(text.substr(2), variable);
  return with_variables(text, variable);
}

fs::path huggingface_folder(const VariableLookup& variable) {
  if (const auto folder = variable("HF_HOME")) return expanded(*folder, variable);
  const auto cache = variable("XDG_CACHE_HOME");
  return (cache ? expanded(*cache, variable) : home(variable) / ".cache") / "huggingface";
}

bool is_true(const std::optional<std::string>& text) {
  if (!text) return false;
  std::string upper = *text;
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
  return upper == "1" || upper == "ON" || upper == "YES" || upper == "TRUE";
}

// A whole number of seconds; 0 and what is none count as unset, as in the hub's own library.
std::chrono::seconds seconds_of(const std::optional<std::string>& text,
                                std::chrono::seconds otherwise) {
  constexpr int kMost = 86400;
  int number = 0;
  if (!text) return otherwise;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number <= 0) return otherwise;
  return std::chrono::seconds(std::min(number, kMost));
}

std::string without_spaces_around(const std::string& text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const auto first = text.find_first_not_of(kSpaces);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

std::string token_file_text(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(kLongestToken + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

Result<std::string> read_token(const VariableLookup& variable) {
  if (is_true(variable("HF_HUB_DISABLE_IMPLICIT_TOKEN"))) return std::string();
  std::string where;
  std::string token;
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (token.empty()) token = without_spaces_around(variable(where = name).value_or(""));
  if (token.empty()) {
    const auto named = variable("HF_TOKEN_PATH");
    const fs::path file =
        named ? expanded(*named, variable) : huggingface_folder(variable) / "token";
    where = file.string();
    token = without_spaces_around(token_file_text(file));
  }
  // It becomes a line of a request.
  const bool printable = std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; });
  if (!printable || token.size() > kLongestToken)
    return fail({.code = ErrorCode::kUsage,
                 .where = where,
                 .problem = "holds something that is no token of the hub"});
  return token;
}

}  // namespace

fs::path hub_cache_folder(const VariableLookup& variable) {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const auto folder = variable(name)) return expanded(*folder, variable);
  return huggingface_folder(variable) / "hub";
}

Result<HubSettings> HubSettings::read(const VariableLookup& variable) {
  HubSettings settings;
  settings.cache = hub_cache_folder(variable);
  if (const auto endpoint = variable("HF_ENDPOINT")) {
    auto url = net::server_url(*endpoint);
    if (!url) return fail(std::move(url).error().in("HF_ENDPOINT"));
    settings.endpoint = *std::move(url);
  }
  BOBBY_TRY(settings.token, read_token(variable));
  const auto offline = variable("HF_HUB_OFFLINE");
  settings.offline = is_true(offline ? offline : variable("TRANSFORMERS_OFFLINE"));
  settings.symlinks = !is_true(variable("HF_HUB_DISABLE_SYMLINKS"));
  settings.progress = !is_true(variable("HF_HUB_DISABLE_PROGRESS_BARS"));
  settings.etag_timeout = seconds_of(variable("HF_HUB_ETAG_TIMEOUT"), settings.etag_timeout);
  settings.download_timeout =
      seconds_of(variable("HF_HUB_DOWNLOAD_TIMEOUT"), settings.download_timeout);
  return settings;
}

}  // namespace bobby::hub
