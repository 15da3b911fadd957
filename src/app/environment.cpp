#include "app/environment.h"

#if defined(__APPLE__)
#include <crt_externs.h>
#else
#include <unistd.h>

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX declares it nowhere
#endif

namespace bobby {
namespace {

char** process_environment() {
#if defined(__APPLE__)
  return *_NSGetEnviron();  // a shared library sees no `environ`
#else
  return environ;
#endif
}

}  // namespace

Environment Environment::of_process() {
  std::map<std::string, std::string, std::less<>> variables;
  for (char** entry = process_environment(); entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return Environment(std::move(variables));
}

std::optional<std::string> Environment::get(std::string_view name) const {
  const auto found = variables_.find(name);
  if (found == variables_.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

std::filesystem::path Environment::home() const {
  return get("HOME").value_or(".");
}

std::filesystem::path Environment::xdg(std::string_view variable, std::string_view fallback) const {
  // The XDG specification: a relative path counts as unset.
  if (const auto set = get(variable); set && std::filesystem::path(*set).is_absolute()) return *set;
  return home() / fallback;
}

std::filesystem::path Environment::config_folder() const {
  return xdg("XDG_CONFIG_HOME", ".config") / "bobby";
}

std::filesystem::path Environment::data_folder() const {
  return xdg("XDG_DATA_HOME", ".local/share") / "bobby";
}

std::filesystem::path Environment::state_folder() const {
  return xdg("XDG_STATE_HOME", ".local/state") / "bobby";
}

}  // namespace bobby
