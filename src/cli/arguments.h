#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/command.h"

namespace bobby::cli {

/// A command line, taken apart: what was given, not yet checked value by value.
struct ParsedArguments {
  std::map<Opt, std::vector<std::string>> flags;
  std::vector<std::string> arguments;
  bool help = false;
};

/// Parses what follows the command's name. kUsage names an unknown option with the nearest known
/// one, an option without its value, one given twice, or the wrong number of arguments.
Result<ParsedArguments> parse_arguments(const Command& command, std::vector<std::string> words);

}  // namespace bobby::cli
