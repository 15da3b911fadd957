// bobby bot review: drafts, one at a time, on a terminal.

#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <termios.h>
#include <unistd.h>

#include "app/bot/account.h"
#include "app/bot/setup.h"
#include "bot/approval.h"
#include "cli/bot_shared.h"
#include "cli/command.h"
#include "cli/post_options.h"
#include "cli/review.h"
#include "cli/signals.h"
#include "cli/text_editor.h"

namespace bobby::cli {
namespace {

/// stdin by the key rather than by the line, as long as this is.
class KeyMode {
 public:
  KeyMode() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios keys = before_;
    keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    is_set_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &keys) == 0;
  }
  ~KeyMode() {
    if (is_set_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  KeyMode(const KeyMode&) = delete;
  KeyMode& operator=(const KeyMode&) = delete;

 private:
  bool is_set_ = false;
  termios before_ = {};
};

std::optional<char> read_key() {
  char c = 0;
  ssize_t got = 0;
  {
    const KeyMode keys;
    got = ::read(STDIN_FILENO, &c, 1);
  }
  if (cancelled()) throw Interrupted();
  constexpr char kEndOfText = 4;  // Ctrl-D
  if (got != 1 || c == kEndOfText) return std::nullopt;
  return c;
}

std::optional<std::string> read_line() {
  std::string line;
  char c = 0;
  ssize_t got = 0;
  while ((got = ::read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') line += c;
  if (cancelled()) throw Interrupted();
  if (got != 1 && line.empty()) return std::nullopt;
  return line;
}

// Without a terminal a line's first letter is the key.
std::optional<char> read_choice() {
  const auto line = read_line();
  if (!line) return std::nullopt;
  return line->empty() ? '?' : line->front();
}

ReviewDesk make_desk(Console& console, const Environment& environment) {
  const bool is_terminal = ::isatty(STDIN_FILENO) == 1;
  return {.say = [&console](const std::string& line) { console.print(line); },
          .choose = is_terminal ? read_key : read_choice,
          .ask =
              [&console](const std::string& question) {
                console.partial(question);
                return read_line();
              },
          .edit = [&environment](const std::string& text) { return edit_text(text, environment); }};
}

Result<std::vector<store::Draft>> wanted_drafts(const Invocation& invocation,
                                                store::DraftStore& drafts) {
  if (invocation.arguments.empty()) return bot::undecided_drafts(drafts);
  std::vector<store::Draft> wanted;
  for (const std::string& text : invocation.arguments) {
    BOBBY_TRY(const std::int64_t id, draft_number(text));
    BOBBY_TRY(store::Draft draft, bot::draft_of(drafts, id));
    wanted.push_back(std::move(draft));
  }
  return wanted;
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  BOBBY_TRY(const bluesky::SessionData session, chosen_session(settings));
  BOBBY_TRY(BotStore store, open_bot_store(settings));
  BOBBY_TRY(auto drafts, wanted_drafts(invocation, *store.drafts));
  if (drafts.empty()) {
    console.note("no draft waits; `bobby bot draft 5` writes some");
    return kDone;
  }
  BOBBY_TRY(const bot::PostMaker maker, make_post_maker(settings));
  BOBBY_TRY(const bot::NoveltyIndex past, past_texts(settings, store));
  bot::Approver approver(*store.drafts, *store.outbox, maker, session.account.did);
  const ReviewDesk desk = make_desk(console, settings.environment());
  Review review({.drafts = *store.drafts,
                 .outbox = *store.outbox,
                 .approver = approver,
                 .maker = maker,
                 .past = past,
                 .desk = desk,
                 .now = moment_now});
  BOBBY_TRY(const ReviewCounts counts, review.run(std::move(drafts)));
  if (console.json())
    console.print_json({{"approved", counts.approved},
                        {"rejected", counts.rejected},
                        {"edited", counts.edited},
                        {"skipped", counts.skipped}});
  else
    console.print(fmt::format("{} approved, {} rejected, {} edited, {} skipped", counts.approved,
                              counts.rejected, counts.edited, counts.skipped));
  return kDone;
}

constexpr Argument kArguments[] = {
    {"ID", false, "Drafts, by their numbers; without any, all that wait, the oldest first", true}};
constexpr auto kOptions = joined(kBotOptions, kTextRuleOptions);
constexpr Example kExamples[] = {
    {"bobby bot review", "a approves, e edits in $EDITOR, r rejects, s skips, q ends"},
    {"printf 'a\\nr\\ntoo long\\n' | bobby bot review", "the same from a script, a line a key"},
};

}  // namespace

const Command kBotReview = {
    .group = "bot",
    .name = "review",
    .summary = "look at drafts, one at a time, and decide",
    .description =
        "Shows each draft with what readers would see and what it has in common with other texts, "
        "and waits for a key: a approves it, e opens it in $VISUAL or $EDITOR, r rejects it with a "
        "reason, s leaves it for later, q ends. What was decided stays, however it ends.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
