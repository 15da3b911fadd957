#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/settings.h"
#include "base/result.h"

namespace bobby::api {

/// Fields of a public options struct as settings: the command line's ranges, defaults and meaning,
/// but neither its variables nor its config files.
class FieldSettings {
 public:
  void set(Opt id, std::string_view text);
  void set_number(Opt id, float value);
  void set_integer(Opt id, std::int64_t value);
  void set_flag(Opt id, bool value);
  void set_texts(Opt id, const std::vector<std::string>& texts);

  /// kUsage names every field whose value its option does not take.
  Result<Settings> resolve();

 private:
  SettingsSources sources_;
  std::vector<Error> errors_;
};

/// The process's environment without our own variables, which are the command line's.
Environment library_environment();

}  // namespace bobby::api
