#include "cli/help.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <vector>

namespace bobby::cli {
namespace {

constexpr std::size_t kWidth = 100;

// Words of `text` on lines of at most kWidth, each after `indent` spaces but the first.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  std::size_t column = indent;
  while (!text.empty()) {
    const auto space = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(std::min(space + 1, text.size()));
    if (column > indent && column + 1 + word.size() > kWidth) {
      out += fmt::format("\n{:{}}", "", indent);
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

std::string option_block(Opt id) {
  const OptionSpec& spec = option(id);
  const std::string heading =
      fmt::format("{}{}", spec.letter == '\0' ? "      " : "  ", option_heading(spec));
  const std::string facts = option_facts(spec);
  const std::string text =
      std::string(spec.help) + (facts.empty() ? "" : fmt::format(" ({})", facts));
  constexpr std::size_t kColumn = 32;
  if (heading.size() + 2 > kColumn)
    return fmt::format("{}\n{}{}\n", heading, std::string(kColumn, ' '), wrapped(text, kColumn));
  return fmt::format("{:<{}}{}\n", heading, kColumn, wrapped(text, kColumn));
}

}  // namespace

std::string usage_line(const Command& command) {
  std::string line = fmt::format("bobby {}", command.full_name());
  for (const Argument& argument : command.arguments) {
    const std::string name = fmt::format("{}{}", argument.name, argument.repeated ? "..." : "");
    line += argument.required ? fmt::format(" {}", name) : fmt::format(" [{}]", name);
  }
  return line + " [options]";
}

std::string option_heading(const OptionSpec& spec) {
  std::string text = spec.letter == '\0' ? "" : fmt::format("-{}, ", spec.letter);
  text += fmt::format("--{}", spec.name);
  if (!spec.value.empty()) text += fmt::format(" {}", spec.value);
  return text;
}

std::string option_facts(const OptionSpec& spec) {
  std::vector<std::string> facts;
  if (!spec.choices.empty()) facts.push_back(fmt::format("{}", fmt::join(spec.choices, ", ")));
  const bool numeric = spec.kind == OptionKind::kInteger || spec.kind == OptionKind::kNumber ||
                       spec.kind == OptionKind::kIntegerList;
  if (numeric) facts.push_back(fmt::format("{} to {}", spec.min, spec.max));
  if (!spec.default_text.empty() && spec.kind != OptionKind::kFlag)
    facts.push_back(spec.default_text.find(' ') != std::string_view::npos
                        ? fmt::format("default \"{}\"", spec.default_text)
                        : fmt::format("default {}", spec.default_text));
  if (const std::string name = spec.environment_name(); !name.empty()) facts.push_back(name);
  if (!spec.table.empty())
    facts.push_back(
        fmt::format("[{}] {}", spec.table, spec.config_key().substr(spec.table.size() + 1)));
  return fmt::format("{}", fmt::join(facts, "; "));
}

std::string overview_text() {
  std::string text =
      "Bobby Posts writes short posts in one person's own voice, on that person's own machine.\n\n"
      "Usage: bobby COMMAND [arguments] [options]\n\nCommands:\n";
  for (const Command* command : all_commands())
    text += fmt::format("  {:<20}{}\n", command->full_name(), command->summary);
  text +=
      "\nbobby COMMAND --help   what a command takes, with examples\n"
      "bobby --version        the version\n\n"
      "Examples:\n"
      "  bobby post 3 \"write about coffee\"\n"
      "  bobby post --model ./Qwen3-8B-MLX-4bit --adapter ./adapters\n\n"
      "Settings come from, strongest first: flags, BOBBY_* variables, ./bobby.toml, the user's\n"
      "config.toml, defaults; `bobby config` shows each with its origin.\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing acceptable was generated.\n";
  return text;
}

std::string group_text(std::string_view group) {
  std::string text =
      fmt::format("Usage: bobby {} COMMAND [arguments] [options]\n\nCommands:\n", group);
  for (const Command* command : all_commands())
    if (command->group == group)
      text += fmt::format("  {:<20}{}\n", command->full_name(), command->summary);
  return text + fmt::format("\nExamples:\n  bobby {} COMMAND --help\n", group);
}

std::string help_text(const Command& command) {
  std::string text =
      fmt::format("Usage: {}\n\n{}\n", usage_line(command), wrapped(command.description, 0));
  if (!command.arguments.empty()) {
    text += "\nArguments:\n";
    for (const Argument& argument : command.arguments)
      text += fmt::format("  {:<30}{}\n", argument.name, wrapped(argument.help, 32));
  }
  if (!command.options.empty()) {
    text += "\nOptions:\n";
    for (const Opt id : command.options) text += option_block(id);
  }
  text += "\nOptions of every command:\n";
  for (const Opt id : common_options_of(command)) text += option_block(id);
  text += "\nExamples:\n";
  for (const Example& example : command.examples)
    text += fmt::format("  {}\n      {}\n", example.line, example.what);
  return text;
}

}  // namespace bobby::cli
