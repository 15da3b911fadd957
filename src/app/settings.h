#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "app/environment.h"
#include "app/options.h"
#include "base/result.h"

namespace bobby {

/// Where values come from, strongest first: flags, BOBBY_* variables, ./bobby.toml, the user's
/// config.toml (or the one file that --config names), defaults.
struct SettingsSources {
  std::map<Opt, std::vector<std::string>> flags;  ///< as given on the command line
  Environment environment;
  std::filesystem::path working_folder = ".";
  bool config_files = true;  ///< false: no file is read but the one that --config names
};

/// A value and where it came from.
struct Setting {
  std::vector<std::string> values;  ///< one; several or none for lists; empty: unset
  std::string origin = "default";   ///< "--seed", "BOBBY_SEED", "bobby.toml:3", "default"
};

/// Every option's value, checked. An unknown key or variable, or a value out of its range, is a
/// kUsage error that names it, its place and the nearest known name; all of them together.
class Settings {
 public:
  static Result<Settings> resolve(const SettingsSources& sources);

  const Setting& setting(Opt id) const { return settings_[static_cast<std::size_t>(id)]; }
  bool given(Opt id) const { return !setting(id).values.empty(); }

  /// Precondition of the next four: the option has that kind; text() and the numbers need given().
  bool flag(Opt id) const;
  const std::string& text(Opt id) const { return setting(id).values.front(); }
  std::int64_t integer(Opt id) const;
  double number(Opt id) const;
  const std::vector<std::string>& texts(Opt id) const { return setting(id).values; }
  std::vector<std::int64_t> integers(Opt id) const;

  const Environment& environment() const { return environment_; }

 private:
  std::array<Setting, kOptions> settings_;
  Environment environment_;
};

}  // namespace bobby
