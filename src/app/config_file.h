#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace bobby {

/// One `key = value` of a config file (TOML), its value spelled as on the command line.
struct ConfigEntry {
  std::string key;                  ///< "count"; "bot.zone" in the table [bot]
  std::vector<std::string> values;  ///< one, or those of an array
  int line = 0;                     ///< where it stands, from 1
};

/// The entries of a config file, in its order. kNotFound, kIo; kUsage names the line of what is not
/// TOML, or neither a plain value nor a table of them.
Result<std::vector<ConfigEntry>> read_config_file(const std::filesystem::path& file);

}  // namespace bobby
