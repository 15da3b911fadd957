// bobby config: each setting, its value and where it came from.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/post_options.h"

namespace bobby::cli {
namespace {

std::string shown_value(const OptionSpec& spec, const Setting& setting) {
  if (setting.values.empty()) return "(unset)";
  if (spec.kind == OptionKind::kTextList) return fmt::format("{}", fmt::join(setting.values, ", "));
  return setting.values.front();
}

nlohmann::ordered_json json_value(const OptionSpec& spec, const Setting& setting) {
  if (spec.kind == OptionKind::kTextList) return setting.values;
  if (setting.values.empty()) return nullptr;
  const std::string& text = setting.values.front();
  if (spec.kind == OptionKind::kFlag) return flag_value(text);
  if (spec.kind == OptionKind::kInteger) return integer_value(text);
  if (spec.kind == OptionKind::kNumber) return number_value(text);
  return text;
}

Result<int> run(const Invocation& invocation) {
  for (const OptionSpec& spec : all_options()) {
    if (spec.scope != OptionScope::kSetting) continue;
    const Setting& setting = invocation.settings.setting(spec.id);
    if (invocation.console.json())
      invocation.console.print_json(nlohmann::ordered_json{{"name", spec.config_key()},
                                                           {"value", json_value(spec, setting)},
                                                           {"origin", setting.origin}});
    else
      invocation.console.print(fmt::format("{:<20} {:<28} {}", spec.config_key(),
                                           shown_value(spec, setting), setting.origin));
  }
  return kDone;
}

constexpr Example kExamples[] = {
    {"bobby config", "one setting a line: its key in a config file, its value, its origin"},
    {"BOBBY_TEMPERATURE=0.9 bobby config --json", "the same as JSON, one object a line"},
};

}  // namespace

const Command kConfig = {
    .group = "",
    .name = "config",
    .summary = "show each setting, its value and where it came from",
    .description =
        "Shows each setting with its value and its origin. A setting is a flag, the variable "
        "BOBBY_NAME, or the key `name` in ./bobby.toml or $XDG_CONFIG_HOME/bobby/config.toml; the "
        "first of these that has it wins.",
    .arguments = {},
    .options = kPostOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
