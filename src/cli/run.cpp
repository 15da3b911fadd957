#include "cli/run.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fmt/format.h>

#include "app/suggest.h"
#include "app/version.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/help.h"
#include "cli/signals.h"

namespace bobby::cli {
namespace {

using Words = std::vector<std::string>;

bool contains(const Words& words, std::string_view word) {
  const auto end = std::ranges::find(words, "--");
  return std::find(words.begin(), end, word) != end;
}

bool is_help(std::string_view word) {
  return word == "--help" || word == "-h";
}

bool is_group(std::string_view word) {
  return std::ranges::any_of(all_commands(),
                             [&](const Command* command) { return command->group == word; });
}

const Command* find_command(std::string_view full_name) {
  for (const Command* command : all_commands())
    if (command->full_name() == full_name) return command;
  return nullptr;
}

Error no_such_command(const std::string& full_name) {
  Words known;
  for (const Command* command : all_commands()) known.push_back(command->full_name());
  return {.code = ErrorCode::kUsage,
          .where = fmt::format("\"{}\"", full_name),
          .problem = "is not a command",
          .hint = did_you_mean(full_name, known) + " `bobby --help` lists them"};
}

Result<const Command*> take_command(Words& words) {
  std::string name = words.front();
  words.erase(words.begin());
  if (const Command* command = find_command(name)) return command;
  if (name.starts_with('-'))
    return fail({.code = ErrorCode::kUsage,
                 .where = name,
                 .problem = "stands before the command",
                 .hint = fmt::format("options come after it: bobby post {}", name)});
  if (is_group(name) && words.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = fmt::format("bobby {}", name),
                 .problem = "needs to know what to do",
                 .hint = fmt::format("`bobby {} --help` lists its commands", name)});
  if (!words.empty() && !words.front().starts_with('-')) {
    const std::string both = fmt::format("{} {}", name, words.front());
    if (const Command* command = find_command(both)) {
      words.erase(words.begin());
      return command;
    }
    if (is_group(name)) return fail(no_such_command(both));
  }
  return fail(no_such_command(name));
}

Result<int> run_command(const Command& command, Words words, const Environment& environment,
                        Console& console) {
  BOBBY_TRY(ParsedArguments parsed, parse_arguments(command, std::move(words)));
  if (parsed.help) {
    console.print_bytes(help_text(command));
    return kDone;
  }
  BOBBY_TRY(const Settings settings,
            Settings::resolve({std::move(parsed.flags), environment, "."}));
  console.configure({.json = settings.flag(Opt::kJson),
                     .verbose = settings.flag(Opt::kVerbose),
                     .quiet = settings.flag(Opt::kQuiet)});
  return command.run({settings, parsed.arguments, console});
}

Result<int> run_words(Words words, const Environment& environment, Console& console) {
  if (!words.empty() && words.front() == "help") {  // `bobby help post` reads as --help
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  if (words.empty() || is_help(words.front())) {
    if (words.empty())
      console.note(overview_text());
    else
      console.print_bytes(overview_text());
    return words.empty() ? kWrongUsage : kDone;
  }
  if (words.front() == "--version") {
    console.print(fmt::format("bobby {}", kVersion));
    return kDone;
  }
  if (words.size() == 2 && is_group(words[0]) && is_help(words[1])) {
    console.print_bytes(group_text(words[0]));
    return kDone;
  }
  BOBBY_TRY(const Command* command, take_command(words));
  return run_command(*command, std::move(words), environment, console);
}

int exit_code(ErrorCode code) {
  if (code == ErrorCode::kUsage) return kWrongUsage;
  return code == ErrorCode::kCancelled ? kInterrupted : kFailed;
}

// What did not fit onto stdout decides over what the command thought of its own work.
int finish(int code, Console& console) {
  console.end_progress();
  if (!console.stdout_failed()) return code;
  if (console.stdout_errno() == EPIPE) return kBrokenPipe;
  console.error(
      {.code = ErrorCode::kIo,
       .where = "stdout",
       .problem = fmt::format("cannot be written ({})", std::strerror(console.stdout_errno()))});
  return kFailed;
}

}  // namespace

int run(const Words& words) {
  install_signal_handlers();
  const Environment environment = Environment::of_process();
  Console console({.json = contains(words, "--json"), .verbose = false, .quiet = false},
                  environment);
  try {
    const Result<int> result = run_words(words, environment, console);
    if (result) return finish(*result, console);
    console.error(result.error());
    return finish(exit_code(result.error().code), console);
  } catch (const Interrupted&) {
    console.error({.code = ErrorCode::kCancelled, .problem = "interrupted"});
    return kInterrupted;
  } catch (const std::bad_alloc&) {
    console.error({.code = ErrorCode::kLimit, .problem = "there is not enough memory for this"});
  } catch (const std::exception& error) {
    console.error({.code = ErrorCode::kInternal,
                   .problem = fmt::format("a bug in this program ({})", error.what()),
                   .hint = "please report it with the command that shows it"});
  }
  return kFailed;
}

}  // namespace bobby::cli
