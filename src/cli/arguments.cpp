#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>

#include "app/suggest.h"

namespace bobby::cli {
namespace {

std::string option_names(const OptionSpec& spec) {
  return spec.letter == '\0' ? fmt::format("--{}", spec.name)
                             : fmt::format("-{},--{}", spec.letter, spec.name);
}

std::string try_help(const Command& command) {
  return fmt::format("`bobby {} --help` shows its options", command.full_name());
}

// Options that several values may be given for: a flag may be repeated without harm.
bool repeatable(const OptionSpec& spec) {
  return spec.kind == OptionKind::kTextList || spec.kind == OptionKind::kFlag;
}

Error unknown_option(const Command& command, const std::string& word) {
  std::vector<std::string> known = {"--help"};
  for (const Opt id : options_of(command)) known.push_back(fmt::format("--{}", option(id).name));
  const std::string flag = word.substr(0, word.find('='));
  return {.code = ErrorCode::kUsage,
          .where = flag,
          .problem = fmt::format("`bobby {}` has no such option", command.full_name()),
          .hint = did_you_mean(flag, known)};
}

Result<void> check_argument_count(const Command& command,
                                  const std::vector<std::string>& arguments) {
  for (std::size_t i = arguments.size(); i < command.arguments.size(); ++i)
    if (command.arguments[i].required)
      return fail({.code = ErrorCode::kUsage,
                   .where = std::string(command.arguments[i].name),
                   .problem = "is missing",
                   .hint = try_help(command)});
  const bool any_number = !command.arguments.empty() && command.arguments.back().repeated;
  if (arguments.size() > command.arguments.size() && !any_number)
    return fail({.code = ErrorCode::kUsage,
                 .where = fmt::format("\"{}\"", arguments[command.arguments.size()]),
                 .problem = "is one argument too many",
                 .hint = try_help(command)});
  return {};
}

}  // namespace

Result<ParsedArguments> parse_arguments(const Command& command, std::vector<std::string> words) {
  ParsedArguments parsed;
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  app.add_flag("-h,--help", parsed.help);
  std::map<Opt, CLI::Option*> given;
  for (const Opt id : options_of(command)) {
    const OptionSpec& spec = option(id);
    // Values stay texts here: check_value() has the same words for flags, variables and files.
    CLI::Option* added = spec.kind == OptionKind::kFlag
                             ? app.add_flag(option_names(spec))
                             : app.add_option(option_names(spec), CLI::callback_t());
    if (spec.kind != OptionKind::kFlag) added->type_size(1)->expected(1);
    given[id] = added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  app.add_option("arguments", parsed.arguments);
  try {
    std::ranges::reverse(words);  // CLI11 takes them from the back
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return fail({.code = ErrorCode::kUsage, .problem = error.what(), .hint = try_help(command)});
  }
  for (const std::string& word : app.remaining())
    if (word.starts_with('-') && word != "--") return fail(unknown_option(command, word));
  for (const auto& [id, added] : given) {
    if (added->count() == 0) continue;
    const OptionSpec& spec = option(id);
    if (added->results().size() > 1 && !repeatable(spec))
      return fail({.code = ErrorCode::kUsage,
                   .where = fmt::format("--{}", spec.name),
                   .problem = "is given more than once",
                   .hint = try_help(command)});
    parsed.flags[id] = added->results();
    if (spec.kind == OptionKind::kFlag) parsed.flags[id] = {added->results().back()};
  }
  if (!parsed.help) BOBBY_CHECK(check_argument_count(command, parsed.arguments));
  return parsed;
}

}  // namespace bobby::cli
