#include "app/settings.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "app/config_file.h"
#include "app/suggest.h"

namespace bobby {
namespace {

// Variables of this prefix that are no settings: for the tests and scripts of the project, and a
// secret that is not to be shown with them.
constexpr std::string_view kOtherVariables[] = {"BOBBY_DEMO_MODEL", "BOBBY_BLUESKY_PASSWORD"};

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (comma > 0) parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

// Gathers values from the weakest source to the strongest, and every problem on the way.
class Resolver {
 public:
  Resolver() {
    for (const OptionSpec& spec : all_options())
      if (!spec.default_text.empty()) at(spec.id).values = {std::string(spec.default_text)};
  }

  void read_file(const std::filesystem::path& file, const std::string& shown) {
    auto entries = read_config_file(file);
    if (!entries) {
      errors_.push_back(std::move(entries).error());
      return;
    }
    for (ConfigEntry& entry : *entries) {
      const std::string place = fmt::format("{}:{}", shown, entry.line);
      if (const OptionSpec* spec = by_key(entry.key))
        set(*spec, std::move(entry.values), place, fmt::format("{}: key '{}'", place, entry.key));
      else
        errors_.push_back({.code = ErrorCode::kUsage,
                           .where = fmt::format("{}: key '{}'", place, entry.key),
                           .problem = "is not a setting",
                           .hint = suggestion(entry.key, &OptionSpec::config_key)});
    }
  }

  void read_environment(const Environment& environment) {
    for (const auto& [name, value] : environment.variables()) {
      if (!name.starts_with("BOBBY_") || value.empty()) continue;
      if (std::ranges::find(kOtherVariables, name) != std::end(kOtherVariables)) continue;
      if (const OptionSpec* spec = by_variable(name))
        set(*spec, spec->kind == OptionKind::kTextList ? split_commas(value) : std::vector{value},
            name, name);
      else
        errors_.push_back({.code = ErrorCode::kUsage,
                           .where = name,
                           .problem = "is not a setting's environment variable",
                           .hint = suggestion(name, &OptionSpec::environment_name)});
    }
  }

  void read_flags(const std::map<Opt, std::vector<std::string>>& flags) {
    for (const auto& [id, values] : flags) {
      const std::string flag = fmt::format("--{}", option(id).name);
      set(option(id), values, flag, flag);
    }
  }

  Result<std::array<Setting, kOptions>> finish() {
    if (!errors_.empty()) return fail(join_errors(std::move(errors_)));
    return std::move(settings_);
  }

 private:
  Setting& at(Opt id) { return settings_[static_cast<std::size_t>(id)]; }

  static const OptionSpec* by_key(std::string_view key) {
    for (const OptionSpec& spec : all_options())
      if (spec.scope == OptionScope::kSetting && spec.config_key() == key) return &spec;
    return nullptr;
  }

  static const OptionSpec* by_variable(std::string_view name) {
    for (const OptionSpec& spec : all_options())
      if (spec.scope == OptionScope::kSetting && spec.environment_name() == name) return &spec;
    return nullptr;
  }

  static std::string suggestion(std::string_view word, std::string (OptionSpec::*name)() const) {
    std::vector<std::string> known;
    for (const OptionSpec& spec : all_options())
      if (spec.scope == OptionScope::kSetting) known.push_back((spec.*name)());
    return did_you_mean(word, known) + " `bobby config` lists every setting";
  }

  // `place` is what `bobby config` shows; `where` names the spot in an error.
  void set(const OptionSpec& spec, std::vector<std::string> values, std::string place,
           const std::string& where) {
    if (spec.kind != OptionKind::kTextList && values.size() != 1) {
      const bool is_list = spec.kind == OptionKind::kIntegerList && !values.empty();
      if (!is_list) {
        errors_.push_back({.code = ErrorCode::kUsage,
                           .where = where,
                           .problem = "takes one value",
                           .found = fmt::format("{}", values.size())});
        return;
      }
    }
    for (const std::string& value : values)
      if (auto checked = check_value(spec, value); !checked) {
        errors_.push_back(std::move(checked).error().in(where));
        return;
      }
    at(spec.id) = {std::move(values), std::move(place)};
  }

  std::array<Setting, kOptions> settings_;
  std::vector<Error> errors_;
};

}  // namespace

Result<Settings> Settings::resolve(const SettingsSources& sources) {
  Resolver resolver;
  if (const auto named = sources.flags.find(Opt::kConfig);
      named != sources.flags.end() && !named->second.empty()) {
    resolver.read_file(named->second.front(), named->second.front());
  } else if (sources.config_files) {
    std::error_code status;
    const auto user = sources.environment.config_folder() / "config.toml";
    if (std::filesystem::exists(user, status)) resolver.read_file(user, user.string());
    const auto local = sources.working_folder / "bobby.toml";
    if (std::filesystem::exists(local, status)) resolver.read_file(local, "bobby.toml");
  }
  resolver.read_environment(sources.environment);
  resolver.read_flags(sources.flags);

  Settings settings;
  BOBBY_TRY(settings.settings_, resolver.finish());
  settings.environment_ = sources.environment;
  return settings;
}

bool Settings::flag(Opt id) const {
  return given(id) && flag_value(text(id));
}

std::int64_t Settings::integer(Opt id) const {
  return integer_value(text(id));
}

double Settings::number(Opt id) const {
  return number_value(text(id));
}

std::vector<std::int64_t> Settings::integers(Opt id) const {
  std::vector<std::int64_t> values;
  for (const std::string& value : texts(id))
    for (const std::string& part : split_commas(value)) values.push_back(integer_value(part));
  return values;
}

}  // namespace bobby
