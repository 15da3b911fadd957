#pragma once

#include <string>

#include "cli/command.h"

namespace bobby::cli {

/// `bobby --help`: every command in a line.
std::string overview_text();
/// `bobby COMMAND --help`: usage, options, examples.
std::string help_text(const Command& command);
/// `bobby model --help`: the commands of a group.
std::string group_text(std::string_view group);

/// "bobby post [COUNT] [PROMPT] [options]"
std::string usage_line(const Command& command);
/// "-n, --count N"
std::string option_heading(const OptionSpec& spec);
/// "1 to 1000; default 1; BOBBY_COUNT": what follows an option's sentence; may be empty.
std::string option_facts(const OptionSpec& spec);

/// `bobby man [COMMAND]`: a man page; and docs/guides/commands.md.
std::string man_page(const Command* command);
std::string markdown_reference();

/// The completion script for "bash", "zsh" or "fish"; empty for another name.
std::string completion_script(std::string_view shell);

}  // namespace bobby::cli
