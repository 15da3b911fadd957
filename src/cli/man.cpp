// bobby man: the reference as man pages or as one Markdown file, from the option tables.

#include <fmt/format.h>

#include "app/version.h"
#include "cli/help.h"

namespace bobby::cli {
namespace {

// A dash or a dot at a line's start means something to roff, a backslash anywhere.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string roff_options(std::span<const Opt> options) {
  std::string text;
  for (const Opt id : options) {
    const std::string facts = option_facts(option(id));
    text +=
        fmt::format(".TP\n.B {}\n{}{}.\n", roff(option_heading(option(id))), roff(option(id).help),
                    facts.empty() ? "" : fmt::format(" ({})", roff(facts)));
  }
  return text;
}

std::string overview_page() {
  std::string text = fmt::format(
      ".TH BOBBY 1 \"\" \"bobby {}\"\n.SH NAME\nbobby \\- writes short posts in one person's own "
      "voice\n.SH SYNOPSIS\n.B bobby\nCOMMAND [arguments] [options]\n.SH COMMANDS\n",
      kVersion);
  for (const Command* command : all_commands())
    text += fmt::format(".TP\n.B {}\n{}.\n", roff(command->full_name()), roff(command->summary));
  return text +
         ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 nothing acceptable was generated.\n";
}

std::string markdown_options(std::span<const Opt> options) {
  std::string text = "| option | what it does |\n|---|---|\n";
  for (const Opt id : options) {
    const std::string facts = option_facts(option(id));
    std::string row =
        fmt::format("{}{}", option(id).help, facts.empty() ? "" : fmt::format(" ({})", facts));
    std::string heading = option_heading(option(id));
    for (std::string* cell : {&row, &heading})
      for (std::size_t at = 0; (at = cell->find('|', at)) != std::string::npos; at += 2)
        cell->insert(at, "\\");
    text += fmt::format("| `{}` | {} |\n", heading, row);
  }
  return text;
}

std::string markdown_command(const Command& command) {
  std::string text = fmt::format("\n## bobby {}\n\n{}\n\n    {}\n", command.full_name(),
                                 command.description, usage_line(command));
  for (const Argument& argument : command.arguments)
    text += fmt::format("\n- `{}`: {}", argument.name, argument.help);
  if (!command.arguments.empty()) text += "\n";
  if (!command.options.empty()) text += fmt::format("\n{}", markdown_options(command.options));
  text += "\nExamples:\n";
  for (const Example& example : command.examples)
    text += fmt::format("\n- `{}`: {}", example.line, example.what);
  return text + "\n";
}

const Command* by_name(std::string_view name) {
  for (const Command* command : all_commands())
    if (command->full_name() == name) return command;
  return nullptr;
}

Result<int> run(const Invocation& invocation) {
  if (invocation.settings.text(Opt::kFormat) == "markdown") {
    invocation.console.print_bytes(markdown_reference());
    return kDone;
  }
  const Command* command = nullptr;
  std::string name;
  for (const std::string& word : invocation.arguments)
    name += fmt::format("{}{}", name.empty() ? "" : " ", word);
  if (!name.empty() && (command = by_name(name)) == nullptr)
    return fail({.code = ErrorCode::kUsage,
                 .where = fmt::format("\"{}\"", name),
                 .problem = "is not a command",
                 .hint = "`bobby --help` lists them"});
  invocation.console.print_bytes(man_page(command));
  return kDone;
}

constexpr Argument kArguments[] = {
    {"COMMAND", false, "The command to write the page of; without one, the page of bobby itself"},
    {"SUBCOMMAND", false, "Its second word, if it has one"},
};
constexpr Opt kOptions[] = {Opt::kFormat};
constexpr Example kExamples[] = {
    {"bobby man post > bobby-post.1", "the man page of `bobby post`"},
    {"bobby man --format markdown > docs/guides/commands.md", "the whole reference in one file"},
};

}  // namespace

std::string man_page(const Command* command) {
  if (command == nullptr) return overview_page();
  std::string dashed = fmt::format("bobby-{}", command->full_name());
  for (char& c : dashed)
    if (c == ' ') c = '-';
  std::string text = fmt::format(
      ".TH {} 1 \"\" \"bobby {}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n{}\n.SH DESCRIPTION\n{}\n",
      roff(dashed), kVersion, roff(dashed), roff(command->summary), roff(usage_line(*command)),
      roff(command->description));
  if (!command->options.empty())
    text += fmt::format(".SH OPTIONS\n{}", roff_options(command->options));
  text +=
      fmt::format(".SH OPTIONS OF EVERY COMMAND\n{}", roff_options(common_options_of(*command)));
  text += ".SH EXAMPLES\n";
  for (const Example& example : command->examples)
    text += fmt::format(".TP\n.B {}\n{}.\n", roff(example.line), roff(example.what));
  return text;
}

std::string markdown_reference() {
  std::string text =
      "# Commands\n\nMade from the option tables by `bobby man --format markdown`; a test compares "
      "the two.\n\n"
      "Settings come from, strongest first: the flag, the variable named beside it, the key of the "
      "same name\n(with `_` for `-`, or as it stands beside its [table]) in `./bobby.toml`, in "
      "`$XDG_CONFIG_HOME/bobby/config.toml`, "
      "and the default. An unknown flag,\nvariable or key is an error that names the nearest known "
      "one.\n\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing acceptable was generated; 130 after "
      "Ctrl-C, 141 when\nthe reader of stdout has gone. Results go to stdout, everything else to "
      "stderr; with `--json` both are JSON,\none object a line, an error as "
      "`{\"error\": {\"code\", \"message\", \"where\", \"problem\", ...}}`.\n\n"
      "## Options of every command\n\n";
  text += markdown_options(common_options());
  for (const Command* command : all_commands()) text += markdown_command(*command);
  return text;
}

const Command kMan = {
    .group = "",
    .name = "man",
    .summary = "print a man page, or the whole reference as Markdown",
    .description = "Prints a command's man page, made from the same tables as its --help.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
