#include "api/field_settings.h"

#include <fmt/format.h>
#include <utility>

#include "app/environment.h"

namespace bobby::api {

Environment library_environment() {
  auto variables = Environment::of_process().variables();
  std::erase_if(variables, [](const auto& entry) { return entry.first.starts_with("BOBBY_"); });
  return Environment(std::move(variables));
}

void FieldSettings::set(Opt id, std::string_view text) {
  const OptionSpec& spec = option(id);
  if (auto checked = check_value(spec, text); !checked) {
    errors_.push_back(std::move(checked).error().in(spec.config_key()));
    return;
  }
  sources_.flags[id].emplace_back(text);
}

void FieldSettings::set_number(Opt id, float value) {
  set(id, fmt::format("{}", value));  // the shortest text that reads back as the same number
}

void FieldSettings::set_integer(Opt id, std::int64_t value) {
  set(id, fmt::format("{}", value));
}

void FieldSettings::set_flag(Opt id, bool value) {
  set(id, value ? "true" : "false");
}

void FieldSettings::set_texts(Opt id, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) set(id, text);
}

Result<Settings> FieldSettings::resolve() {
  if (!errors_.empty()) return fail(join_errors(std::move(errors_)));
  sources_.environment = library_environment();
  sources_.config_files = false;
  return Settings::resolve(sources_);
}

}  // namespace bobby::api
