// bobby completions: scripts for bash, zsh and fish, from the command and option tables.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>

#include "app/suggest.h"
#include "cli/help.h"

namespace bobby::cli {
namespace {

bool takes_value(const OptionSpec& spec) {
  return spec.kind != OptionKind::kFlag;
}

std::vector<std::string> option_words(const Command& command) {
  std::vector<std::string> words = {"--help"};
  for (const Opt id : options_of(command)) words.push_back(fmt::format("--{}", option(id).name));
  return words;
}

// First words, then for each group its second words.
std::vector<std::string> first_words() {
  std::vector<std::string> words;
  std::set<std::string_view> seen;
  for (const Command* command : all_commands()) {
    const std::string_view word = command->group.empty() ? command->name : command->group;
    if (seen.insert(word).second) words.emplace_back(word);
  }
  return words;
}

std::vector<std::string> words_of_group(std::string_view group) {
  std::vector<std::string> words;
  for (const Command* command : all_commands())
    if (command->group == group) words.emplace_back(command->name);
  return words;
}

std::set<std::string_view> groups() {
  std::set<std::string_view> names;
  for (const Command* command : all_commands())
    if (!command->group.empty()) names.insert(command->group);
  return names;
}

// For bash, and for zsh through its bashcompinit.
std::string bash_script() {
  std::string text =
      "_bobby() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  local command=\"${COMP_WORDS[1]}\" words=\"\"\n"
      "  COMPREPLY=()\n"
      "  case \"$previous\" in\n";
  std::set<std::string_view> seen;
  for (const OptionSpec& spec : all_options())
    if (!spec.choices.empty() && seen.insert(spec.name).second)
      text += fmt::format("    --{}) COMPREPLY=($(compgen -W \"{}\" -- \"$current\")); return ;;\n",
                          spec.name, fmt::join(spec.choices, " "));
  text += "  esac\n";
  text += fmt::format("  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=\"{} --help --version\"\n",
                      fmt::join(first_words(), " "));
  text += "  else\n    case \"$command\" in\n";
  for (const std::string_view group : groups())
    text += fmt::format(
        "      {0}) if [ \"$COMP_CWORD\" -eq 2 ]; then words=\"{1}\"; "
        "else command=\"{0} ${{COMP_WORDS[2]}}\"; fi ;;\n",
        group, fmt::join(words_of_group(group), " "));
  text += "    esac\n    case \"$command\" in\n";
  for (const Command* command : all_commands())
    text += fmt::format("      \"{}\") words=\"{}\" ;;\n", command->full_name(),
                        fmt::join(option_words(*command), " "));
  return text +
         "    esac\n  fi\n"
         "  case \"$current\" in\n"
         "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$current\")) ;;\n"
         "    *) if [ \"$COMP_CWORD\" -eq 1 ] || [ \"$command\" = \"${words#-}\" ] || "
         "[ \"${words#-}\" = \"$words\" ]; then\n"
         "         COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "       else COMPREPLY=($(compgen -f -- \"$current\")); fi ;;\n"
         "  esac\n"
         "}\n"
         "complete -o filenames -F _bobby bobby\n";
}

std::string zsh_script() {
  return "#compdef bobby\nautoload -U +X bashcompinit && bashcompinit\n" + bash_script();
}

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fish_script() {
  std::string text = "complete -c bobby -n __fish_use_subcommand -f\n";
  std::set<std::string_view> seen;
  for (const Command* command : all_commands()) {
    if (command->group.empty()) {
      text += fmt::format("complete -c bobby -n __fish_use_subcommand -a {} -d {}\n", command->name,
                          fish_quoted(command->summary));
    } else {
      if (seen.insert(command->group).second)
        text += fmt::format("complete -c bobby -n __fish_use_subcommand -a {}\n", command->group);
      text += fmt::format(
          "complete -c bobby -n '__fish_seen_subcommand_from {0}; and not "
          "__fish_seen_subcommand_from {1}' -a {2} -d {3}\n",
          command->group, fmt::join(words_of_group(command->group), " "), command->name,
          fish_quoted(command->summary));
    }
    std::string condition = fmt::format("__fish_seen_subcommand_from {}", command->name);
    if (!command->group.empty())
      condition = fmt::format("__fish_seen_subcommand_from {}; and {}", command->group, condition);
    for (const Opt id : options_of(*command)) {
      const OptionSpec& spec = option(id);
      text += fmt::format("complete -c bobby -n '{}' -l {}", condition, spec.name);
      if (spec.letter != '\0') text += fmt::format(" -s {}", spec.letter);
      if (takes_value(spec)) text += " -r";
      if (!spec.choices.empty()) text += fmt::format(" -f -a '{}'", fmt::join(spec.choices, " "));
      text += fmt::format(" -d {}\n", fish_quoted(spec.help));
    }
  }
  return text;
}

Result<int> run(const Invocation& invocation) {
  const std::string& shell = invocation.arguments.front();
  const std::string script = completion_script(shell);
  if (script.empty()) {
    const std::vector<std::string> known = {"bash", "zsh", "fish"};
    return fail({.code = ErrorCode::kUsage,
                 .where = "SHELL",
                 .problem = "no completions for this shell",
                 .expected = "bash, zsh or fish",
                 .found = fmt::format("\"{}\"", shell),
                 .hint = did_you_mean(shell, known)});
  }
  invocation.console.print_bytes(script);
  return kDone;
}

constexpr Argument kArguments[] = {{"SHELL", true, "bash, zsh or fish"}};
constexpr Example kExamples[] = {
    {"source <(bobby completions bash)", "complete in this shell"},
    {"bobby completions fish > ~/.config/fish/completions/bobby.fish", "and in every fish"},
};

}  // namespace

std::string completion_script(std::string_view shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  if (shell == "fish") return fish_script();
  return {};
}

const Command kCompletions = {
    .group = "",
    .name = "completions",
    .summary = "print a completion script for bash, zsh or fish",
    .description = "Prints a script that makes the shell complete commands, options and choices.",
    .arguments = kArguments,
    .options = {},
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
