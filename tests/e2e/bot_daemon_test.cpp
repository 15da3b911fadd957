// `bobby bot run`: by its schedule, beside others, and while it writes drafts itself.

#include "bot_fixture.h"
#include "tiny_model.h"

namespace bobby::e2e {
namespace {

TEST_F(Bot, ADaemonEndsWithinASecond) {
  log_in("http://127.0.0.1:1");
  const Outcome outcome = interrupt_bobby(
      world_, {"bot", "run", "--cron", "@daily", "--zone", "UTC", "--drafts", store_.string()},
      std::chrono::seconds(20));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "ends")) << outcome.out;
  EXPECT_LT(outcome.after_signal, kEndsWithin);
  EXPECT_TRUE(store::Outbox::open(store_)
                  .value()
                  ->hold_lease(std::string("bot ") + kDid, "next", 0, 1)
                  .value())
      << "the next one need not wait";
}

/// What a random model must be asked for to write texts that may be posted.
const std::vector<std::string> kTinyVoice = {"--model",      "tiny", "--max-tokens", "30",
                                             "--candidates", "2",    "--min-chars",  "1"};

std::vector<std::string> joined(std::vector<std::string> words,
                                const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST_F(Bot, DraftsAreWrittenAhead) {
  ASSERT_EQ(make_tiny_model(world_).exit_code, 0);
  log_in("http://127.0.0.1:1");
  const auto words =
      joined({"run", "--once", "--cron", "@daily", "--drafts-ahead", "3"}, kTinyVoice);
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "3 drafts were written")) << outcome.out << outcome.err;
  const auto drafts = store::DraftStore::open(store_).value();
  EXPECT_EQ(drafts->list({.status = "draft"})->total, 3) << "nobody has approved them";
  ASSERT_TRUE(drafts->update(1, {.status = "rejected"}));
  EXPECT_TRUE(has(run(words).out, "1 draft was written"));
  EXPECT_FALSE(has(run(words).out, "written")) << "there are enough";
}

TEST_F(Bot, PostsUnseenWhereThatIsAskedFor) {
  ASSERT_EQ(make_tiny_model(world_).exit_code, 0);
  ScriptedServer server(take_record);
  log_in(server.url());
  const auto a_time_has_come = [&] {
    const auto outbox = store::Outbox::open(store_).value();
    EXPECT_TRUE(outbox->handle_until(kDid, moment_ago(std::chrono::minutes(1))));
  };
  const auto words =
      joined({"run", "--once", "--cron", "* * * * *", "--hourly-cap", "1"}, kTinyVoice);
  a_time_has_come();
  EXPECT_TRUE(has(run(words).out, "no draft was approved"));
  EXPECT_EQ(server.connections(), 0) << "not by itself";
  TemporaryFolder another;
  store_ = another.path() / "bobby.sqlite";
  fs::copy(folder_.path() / "accounts", another.path() / "accounts", fs::copy_options::recursive);
  a_time_has_come();
  const Outcome outcome = run(joined(words, {"--auto-post"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "waits for a draft that is being written")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "draft 1 was posted")) << outcome.out << outcome.err;
  EXPECT_EQ(post_of(1).state, store::OutboxState::kPosted);
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(Bot, PostsGoOutWhileDraftsAreWritten) {
  // A download that never comes: whoever writes waits for it.
  ScriptedServer hub({std::string()});
  world_.variables["HF_ENDPOINT"] = hub.url();
  int requests = 0;
  ScriptedServer server([&](const std::string& request) {
    if (++requests == 1) return refused(500, "InternalServerError", "Internal Server Error");
    if (requests == 2) return refused(400, "RecordNotFound", "Could not locate record");
    return take_record(request);
  });
  const std::int64_t id = draft("posted at the second try");
  log_in(server.url());
  approve(id);
  ASSERT_TRUE(
      store::Outbox::open(store_).value()->handle_until(kDid, moment_ago(std::chrono::minutes(1))));
  const Outcome outcome =
      interrupt_bobby(world_,
                      {"bot", "run", "--cron", "* * * * *", "--drafts-ahead", "2", "--model",
                       "someone/a-voice", "--drafts", store_.string()},
                      std::chrono::seconds(60), "was posted: at://");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "is not known")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "ends")) << outcome.out;
  EXPECT_GT(hub.connections(), 0) << "it was writing";
  EXPECT_FALSE(has(outcome.out, "written"));
  EXPECT_LT(outcome.after_signal, kEndsWithin);
  EXPECT_EQ(post_of(id).state, store::OutboxState::kPosted);
}

TEST_F(Bot, EndsWithinASecondWhileItWrites) {
  ASSERT_EQ(make_tiny_model(world_).exit_code, 0);
  log_in("http://127.0.0.1:1");
  const Outcome outcome = interrupt_bobby(
      world_,
      {"bot", "run", "--cron", "@daily", "--drafts-ahead", "10", "--model", "tiny", "--candidates",
       "100", "--max-tokens", "900", "--char-limit", "3000", "--drafts", store_.string()},
      std::chrono::milliseconds(1500), "written");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(has(outcome.out, "written")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "ends")) << outcome.out;
  EXPECT_LT(outcome.after_signal, kEndsWithin);
}

TEST_F(Bot, WhatCannotBeWrittenKeepsNothingBack) {
  log_in("http://127.0.0.1:1");
  const Outcome outcome =
      run({"run", "--once", "--cron", "@daily", "--drafts-ahead", "1", "--model", "not-there"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "no drafts were written: ")) << outcome.out;
}

TEST_F(Bot, AClockThatWasAheadIsNamedAndResumedFrom) {
  ScriptedServer server(take_record);
  log_in(server.url());
  const std::int64_t id = draft("posted in spite of it");
  approve(id);
  {
    const auto outbox = store::Outbox::open(store_).value();
    ASSERT_TRUE(outbox->handle_until(kDid, moment_ago(-std::chrono::hours(9000))));
    ASSERT_TRUE(outbox->set_pause(
        kDid, {.until = moment_ago(-std::chrono::minutes(4)), .reason = "it was deactivated"}));
  }
  const std::vector<std::string> once = {"run", "--once", "--cron", "* * * * *"};
  const Outcome silent = run(once);
  EXPECT_TRUE(has(silent.out, "nothing goes out before")) << silent.out;
  EXPECT_TRUE(has(silent.out, "`bobby bot resume`")) << silent.out;
  const Outcome status = run({"status"});
  EXPECT_TRUE(has(status.out, "silent    nothing goes out before")) << status.out;
  EXPECT_TRUE(has(status.out, "it was deactivated")) << status.out;
  EXPECT_EQ(server.connections(), 0);

  const Outcome resumed = run({"resume"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_TRUE(has(resumed.out, "it was deactivated")) << resumed.out;
  EXPECT_TRUE(has(resumed.out, "alice.test goes on")) << resumed.out;
  EXPECT_FALSE(has(run({"status"}).out, "silent"));
  EXPECT_TRUE(has(run({"resume"}).out, "nothing stood in its way"));
  EXPECT_EQ(post_of(id).state, store::OutboxState::kApproved) << "at its time, not before";
}

TEST_F(Bot, ASecondDaemonWaitsForItsTurn) {
  log_in("http://127.0.0.1:1");
  const std::vector<std::string> words = {"run", "--once", "--cron", "@daily", "--zone", "UTC"};
  {
    const auto lock = bluesky::FileLock::take(
        bluesky::account_folder(folder_.path() / "accounts", kDid) / "daemon.lock");
    ASSERT_TRUE(lock && *lock);
    EXPECT_TRUE(has(run(words).out, "another daemon")) << "one on this machine";
  }
  EXPECT_FALSE(has(run(words).out, "another daemon"));
  const store::Moment now = moment_ago(std::chrono::milliseconds(0));
  ASSERT_TRUE(store::Outbox::open(store_)
                  .value()
                  ->hold_lease(std::string("bot ") + kDid, "another machine", now, now + 90'000)
                  .value());
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, "another daemon")) << outcome.out;
}

TEST_F(Bot, ADaemonThatWasKilledIsFollowedAtOnce) {
  log_in("http://127.0.0.1:1");
  kill_bobby(world_,
             {"bot", "run", "--cron", "@daily", "--zone", "UTC", "--drafts", store_.string()},
             std::chrono::seconds(1));
  const Outcome outcome = run({"run", "--once", "--cron", "@daily", "--zone", "UTC"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(has(outcome.out, "another daemon")) << outcome.out;
}

TEST_F(Bot, ADryRunOfTheDaemonShowsWhatIsToCome) {
  const std::int64_t id = draft("the next one");
  log_in("http://127.0.0.1:1");
  approve(id);
  const Outcome outcome =
      run({"run", "--dry-run", "--cron", "30 8 * * *", "--zone", "Europe/Zurich"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(has(outcome.out, " 08:30  (")) << outcome.out;
  EXPECT_TRUE(has(outcome.out, "\"the next one\"")) << outcome.out;
  EXPECT_EQ(post_of(id).state, store::OutboxState::kApproved);
}

TEST_F(Bot, AScheduleThatIsNoneIsNamed) {
  log_in("http://127.0.0.1:1");
  EXPECT_EQ(run({"run"}).exit_code, 2) << "no time is given";
  EXPECT_EQ(run({"run", "--cron", "61 * * * *"}).exit_code, 2);
  write_file(folder_.path() / "bobby.toml", "[bot]\nper_day = 2\nwindow = [\"08:00-09:00\"]\n");
  const Outcome outcome = run({"status"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(has(outcome.err, "did you mean bot.windows?")) << outcome.err;
}

}  // namespace
}  // namespace bobby::e2e
