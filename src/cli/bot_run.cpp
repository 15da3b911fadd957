// bobby bot run: the daemon.

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/bot/poster.h"
#include "bluesky/labels.h"
#include "cli/bot_shared.h"
#include "cli/bot_turn.h"
#include "cli/bot_writing.h"
#include "cli/command.h"
#include "cli/draft_thread.h"
#include "cli/post_options.h"

namespace bobby::cli {
namespace {

using bot::BotEvent;
using store::Moment;

constexpr Moment kSecond = 1000;
// So often it looks whether it is to end, or drafts are written.
constexpr Moment kTick = kSecond / 10;
// What others write into the store (approvals, a login) is seen at least this often.
constexpr Moment kLongestSleep = 60 * kSecond;
constexpr Moment kSleepOutOfTurn = 10 * kSecond;
constexpr Moment kSleepAfterTrouble = 30 * kSecond;
// After drafts could not be written, or too few would do.
constexpr std::chrono::hours kNoWriting{1};
// --once waits for what comes within this.
constexpr Moment kSoon = 2 * kSecond;

void show_event(Console& console, const BotEvent& event) {
  const std::string time = time_text(moment_now());
  if (!console.json()) {
    console.print(fmt::format("{}  {}", time, event.text));
    return;
  }
  nlohmann::ordered_json json = {
      {"time", time}, {"event", bot::event_name(event.kind)}, {"text", event.text}};
  if (event.draft_id != 0) json["draft"] = event.draft_id;
  if (!event.uri.empty()) json["uri"] = event.uri;
  console.print_json(json);
}

/// One daemon's work.
class BotRun {
 public:
  BotRun(const Invocation& invocation, Poster& poster, const bot::Schedule& schedule)
      : invocation_(invocation),
        poster_(poster),
        writer_([this](const DraftOrder& order) {
          return write_drafts(invocation_, poster_.store(), poster_.maker(), order);
        }),
        turn_(poster.outbox(), poster.did(),
              bluesky::account_folder(accounts_folder(invocation.settings), poster.did()) /
                  "daemon.lock"),
        daemon_(poster.daemon(
            schedule, [this](const BotEvent& event) { show_event(invocation_.console, event); },
            invocation.settings.flag(Opt::kAutoPost) ? [this](Moment now) { return supply(now); }
                                                     : bot::Daemon::Supply())) {}

  /// Until it is told to end (which throws Interrupted), or with --once until nothing is to be done
  /// now. Errors that waiting does not mend.
  Result<void> work() {
    const bool once = invocation_.settings.flag(Opt::kOnce);
    for (;;) {
      const Moment now = moment_now();
      auto again = turn(now);
      if (!again && (once || !waiting_may_help(again.error())))
        return fail(std::move(again).error());
      if (!again) {
        trouble(fmt::format("the store does not take anything: {}", again.error().to_string()));
        again = now + kSleepAfterTrouble;
      }
      if (once && !writer_.is_busy() && *again > moment_now() + kSoon) return {};
      rest(std::clamp<Moment>(*again - moment_now(), kTick, kLongestSleep));
    }
  }

 private:
  static bool waiting_may_help(const Error& error) {
    return error.code == ErrorCode::kIo || error.code == ErrorCode::kBusy;
  }

  /// Sleeps for so many milliseconds, or until drafts are written.
  void rest(Moment sleep) const {
    const net::Watch watch = interruptible();
    for (; sleep > 0 && !writer_.is_done(); sleep -= kTick)
      net::wait(std::chrono::milliseconds(std::min(sleep, kTick)), watch);
  }

  void note_once(const std::string& text) {
    if (text == last_note_) return;
    last_note_ = text;
    show_event(invocation_.console, {BotEvent::Kind::kNote, text});
  }

  void trouble(const std::string& text) {
    in_trouble_ = true;
    note_once(text);
  }

  /// When there is more to do.
  Result<Moment> turn(Moment now) {
    note_what_was_written();
    BOBBY_TRY(const bool held, turn_.hold(now));
    if (!held) {
      trouble("another daemon posts for this account; this one waits for its turn");
      return now + kSleepOutOfTurn;
    }
    label();
    BOBBY_TRY(const Moment handled, poster_.outbox().handled_until(poster_.did()));
    if (is_far_ahead(handled, now)) note_once(silence_text(time_text(handled)));
    BOBBY_TRY(const Moment again, daemon_.step(now));
    BOBBY_CHECK(write_ahead());
    if (in_trouble_) note_once("goes on");
    in_trouble_ = false;
    return again;
  }

  /// A label that the settings ask for is there, or it is said why not: it does not keep posts
  /// back.
  void label() {
    if (!invocation_.settings.flag(Opt::kLabel) || std::exchange(label_seen_to_, true)) return;
    const auto set =
        bluesky::set_self_label(poster_.account().repository(), bluesky::kBotLabel, true);
    if (!set)
      note_once("the profile is not labelled as a bot's: " + set.error().to_string());
    else if (*set)
      note_once("the profile is labelled as a bot's now");
  }

  /// Approves the oldest draft that may be posted, or has one written where there is none. The rest
  /// is left for a person.
  Result<bot::Daemon::Supplied> supply(Moment now) {
    using bot::Daemon;
    BOBBY_TRY(const auto waiting, bot::undecided_drafts(*poster_.store().drafts));
    for (const store::Draft& draft : waiting) {
      const auto approval = poster_.approver().approve(draft.id, now);
      if (approval) return Daemon::Supplied::kApproved;
      if (waiting_may_help(approval.error())) return fail(approval.error());
      note_once(approval.error().to_string());
    }
    write(1);
    return writer_.is_busy() ? Daemon::Supplied::kLater : Daemon::Supplied::kNothing;
  }

  /// Keeps --drafts-ahead waiting.
  Result<void> write_ahead() {
    const std::int64_t wanted = invocation_.settings.integer(Opt::kDraftsAhead);
    if (wanted == 0) return {};
    BOBBY_TRY(const store::DraftPage page,
              poster_.store().drafts->list({.status = "draft", .limit = 1}));
    if (page.total < wanted) write(wanted - page.total);
    return {};
  }

  /// Begins to write, unless it is being done or was in vain of late. Posts go out meanwhile.
  void write(std::int64_t count) {
    constexpr std::int64_t kMostAtOnce = 10;
    if (writer_.is_busy() || std::chrono::steady_clock::now() < no_writing_before_) return;
    count = std::min(count, kMostAtOnce);
    writer_.begin({.count = static_cast<std::uint32_t>(count), .new_seed = true});
  }

  /// A failure is said, and does not keep posts back.
  void note_what_was_written() {
    const auto stored = writer_.take();
    if (!stored) return;
    // The signal that ends the daemon may reach the writer first.
    if (!*stored && stored->error().code == ErrorCode::kCancelled) return;
    const std::size_t count = *stored ? (*stored)->drafts.size() : 0;
    if (count == 0) no_writing_before_ = std::chrono::steady_clock::now() + kNoWriting;
    const std::string text =
        *stored ? fmt::format("{} draft{} written", count, count == 1 ? " was" : "s were")
                : "no drafts were written: " + stored->error().to_string();
    show_event(invocation_.console, {BotEvent::Kind::kNote, text});
  }

  const Invocation& invocation_;
  Poster& poster_;
  DraftThread writer_;  // ends after the turn has gone to the next
  BotTurn turn_;
  bot::Daemon daemon_;
  std::string last_note_;
  bool in_trouble_ = false;
  bool label_seen_to_ = false;
  std::chrono::steady_clock::time_point no_writing_before_ = {};
};

void show_slots(Console& console, std::string_view what, const std::vector<bot::Slot>& slots) {
  for (const bot::Slot& slot : slots) {
    const Moment due =
        std::chrono::duration_cast<std::chrono::milliseconds>(slot.due.time_since_epoch()).count();
    if (console.json())
      console.print_json({{"slot", what}, {"local", slot.local}, {"due", time_text(due)}});
    else
      console.print(fmt::format("{:<9} {}  ({})", what, slot.local, time_text(due)));
  }
}

// What a step would do now, and the times to come.
Result<int> show_plan(const Invocation& invocation, Poster& poster, const bot::Schedule& schedule) {
  constexpr int kShown = 10;
  Console& console = invocation.console;
  const Moment now = moment_now();
  BOBBY_TRY(const bot::Plan plan, plan_of(schedule, poster.outbox(), poster.did(), now));
  for (const std::string& note : plan.notes) console.note(note);
  for (const bot::DroppedSlot& dropped : plan.dropped) console.note(dropped.why);
  show_slots(console, "now", plan.fire);
  show_slots(console, "held", plan.held);
  std::vector<bot::Slot> next;
  auto time = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  while (next.size() < kShown) {
    const auto slot = schedule.next(time);
    if (!slot) break;
    time = slot->due;
    next.push_back(*slot);
  }
  show_slots(console, "next", next);
  BOBBY_TRY(const auto post, poster.outbox().next(poster.did(), now, store::Tried::kNever));
  if (!post) {
    console.note("nothing is approved");
    return kDone;
  }
  BOBBY_TRY(const std::string record, poster.maker().record(post->text, now));
  if (console.json())
    console.print_json({{"draft", post->draft_id},
                        {"record_key", post->record_key},
                        {"record", nlohmann::ordered_json::parse(record)}});
  else
    console.print(record);
  return kDone;
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  BOBBY_TRY(const bot::ScheduleConfig config, schedule_config(settings));
  BOBBY_TRY(const bot::Schedule schedule, bot::Schedule::make(config));
  const auto note = [&invocation](const std::string& text) {
    show_event(invocation.console, {BotEvent::Kind::kNote, text});
  };
  BOBBY_TRY(const auto poster, Poster::open(settings, interruptible(), note));
  if (settings.flag(Opt::kDryRun)) return show_plan(invocation, *poster, schedule);
  BotRun bot(invocation, *poster, schedule);
  try {
    if (!settings.flag(Opt::kOnce))
      show_event(
          invocation.console,
          {BotEvent::Kind::kNote, fmt::format("posts as {}", poster->account().account().handle)});
    BOBBY_CHECK(bot.work());
  } catch (const Interrupted&) {
    // How a daemon ends. What was being sent is in the store, and settled when it starts again.
    show_event(invocation.console, {BotEvent::Kind::kNote, "ends"});
  }
  return kDone;
}

constexpr auto kOwnOptions = std::array{Opt::kOnce,        Opt::kDryRun, Opt::kAutoPost,
                                        Opt::kDraftsAhead, Opt::kLabel,  Opt::kCard};
constexpr auto kOptions =
    joined(joined(joined(kOwnOptions, kScheduleOptions), joined(kBotOptions, kTextRuleOptions)),
           kWritingOptions);
constexpr Example kExamples[] = {
    {"bobby bot run --per-day 4 --windows 08:00-11:30 --windows 17:00-22:00 --zone Europe/Zurich",
     "four approved drafts a day"},
    {"bobby bot run --dry-run", "what would be posted now, and the times to come"},
    {"bobby bot run --once", "for a timer of the system, in place of a daemon"},
    {"bobby bot run --json --drafts-ahead 10", "one event a line; ten drafts always wait"},
};

}  // namespace

const Command kBotRun = {
    .group = "bot",
    .name = "run",
    .summary = "post approved drafts by a schedule",
    .description =
        "Posts what is approved when the schedule says so, until a signal ends it; what it posts "
        "or does not is a line on stdout each. It may be killed at any moment: nothing is lost "
        "and nothing is posted twice. Two on one store take turns. Without --auto-post nothing "
        "goes out that nobody approved.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
