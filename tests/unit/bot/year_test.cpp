// A year of each scenario: what the schedule promises, and the figures of docs/lab/bot-year.
// BOBBY_WRITE_DOCS=1 writes those.

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "unit/bot/schedule_fixture.h"
#include "unit/bot/year_simulation.h"

namespace bobby::bot {
namespace {

using namespace std::chrono_literals;

const std::vector<Year>& years() {
  static const std::vector<Year> simulated = [] {
    std::vector<Year> made;
    for (const Scenario& scenario : scenarios()) made.push_back(simulate(scenario));
    return made;
  }();
  return simulated;
}

template <typename Check>
void for_each_year(const Check& check) {
  const std::vector<Scenario> all = scenarios();
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(all[i].name);
    check(all[i], years()[i]);
  }
}

void every_slot_fires_or_is_dropped_or_waits_once() {
  for_each_year([](const Scenario&, const Year& year) {
    std::map<TimePoint, int> seen;
    for (const Posted& post : year.posted) ++seen[post.slot.planned];
    for (const DroppedSlot& dropped : year.dropped) ++seen[dropped.slot.planned];
    for (const Slot& slot : year.waiting) ++seen[slot.planned];
    for (const Slot& slot : year.slots) EXPECT_EQ(seen[slot.planned], 1) << slot.local;
    EXPECT_EQ(seen.size(), year.slots.size());
  });
}

void the_caps_hold() {
  for_each_year([](const Scenario& scenario, const Year& year) {
    const Schedule schedule = made(scenario.config);
    std::map<LocalDate, int> days;
    for (const Posted& post : year.posted) ++days[schedule.zone().date_of(post.time)];
    for (const auto& [day, count] : days)
      EXPECT_LE(count, scenario.config.daily_cap) << to_text(day);
    const auto cap = static_cast<std::size_t>(scenario.config.hourly_cap);
    for (std::size_t i = cap; i < year.posted.size(); ++i)
      EXPECT_GE(year.posted[i].time - year.posted[i - cap].time, 1h) << year.posted[i].slot.local;
  });
}

void quiet_hours_are_quiet() {
  for_each_year([](const Scenario& scenario, const Year& year) {
    const Schedule schedule = made(scenario.config);
    for (const std::string& quiet : scenario.config.quiet)
      for (const Posted& post : year.posted) {
        const std::string clock = to_text(schedule.zone().to_local(post.time)).substr(11, 5);
        const std::string begin = quiet.substr(0, 5);
        const std::string end = quiet.substr(6);
        const bool inside =
            begin < end ? clock >= begin && clock < end : clock >= begin || clock < end;
        EXPECT_FALSE(inside) << post.slot.local << " posted at " << clock;
      }
  });
}

void the_misfire_policy_is_kept() {
  for_each_year([](const Scenario& scenario, const Year& year) {
    const auto late = std::ranges::count_if(year.posted, &Posted::late);
    if (scenario.config.misfire == Misfire::kSkip) {
      EXPECT_EQ(late, 0);
    }
    if (scenario.config.misfire == Misfire::kAll) {
      EXPECT_TRUE(year.dropped.empty());
    }
    // Where slots crowd, caps make some late without an outage.
    if (scenario.config.misfire == Misfire::kOne && scenario.config.per_day > 0) {
      EXPECT_LE(late, std::ssize(scenario.away));
    }
    // Of what was missed in one go, one post is made.
    for (const Span& span : scenario.away) {
      if (scenario.config.misfire != Misfire::kOne) break;
      const auto made_up = std::ranges::count_if(
          year.posted, [&](const Posted& post) { return post.late && span.holds(post.slot.due); });
      EXPECT_LE(made_up, 1) << to_text(LocalTime(span.begin.time_since_epoch()));
    }
    if (scenario.away.empty() && scenario.clock_errors.empty()) {
      EXPECT_EQ(late, 0);
      EXPECT_EQ(year.posted.size(), year.slots.size());
    }
  });
}

void slots_are_as_many_as_the_config_says() {
  const std::vector<std::size_t> expected = {
      4 * 365,
      4 * 365,
      4 * 365,
      4 * 365,
      // 20 hours of two each day, of which clocks skip or show twice none: 02:00 is in the quiet.
      40 * 365,
      // 5 October: 02:15 is skipped to 02:30, and a slot still.
      6 * 365,
      365,
      2 * 261,
      24 * 365,
  };
  ASSERT_EQ(expected.size(), years().size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE(scenarios()[i].name);
    // Jitter brings some of the many into the same second.
    const std::size_t least = i == 4 ? expected[i] * 99 / 100 : expected[i];
    EXPECT_GE(years()[i].slots.size(), least);
    EXPECT_LE(years()[i].slots.size(), expected[i]);
  }
}

void a_clock_set_back_is_said() {
  const Year& year = years().back();
  EXPECT_GE(year.notes.size(), 3u);
  for (const std::string& note : year.notes)
    EXPECT_TRUE(note.starts_with("the clock was set back")) << note;
}

void the_lab_note_shows_what_is_computed() {
  const std::map<std::string, std::string> files = {
      {"bot-year.md", year_table(scenarios(), years())},
      {"bot-year.svg", year_plot(scenarios(), years())}};
  for (const auto& [name, text] : files) {
    const std::string path = std::string(BOBBY_SOURCE_DIR) + "/docs/lab/" + name;
    if (std::getenv("BOBBY_WRITE_DOCS")) std::ofstream(path) << text;
    std::ifstream stream(path);
    const std::string kept(std::istreambuf_iterator<char>(stream), {});
    EXPECT_TRUE(kept == text) << path << " is not what is computed: BOBBY_WRITE_DOCS=1 renews it";
  }
}

// One test, since a year takes its time and each test is a process of its own.
TEST(BotYear, KeepsWhatTheSchedulePromises) {
  every_slot_fires_or_is_dropped_or_waits_once();
  the_caps_hold();
  quiet_hours_are_quiet();
  the_misfire_policy_is_kept();
  slots_are_as_many_as_the_config_says();
  a_clock_set_back_is_said();
  the_lab_note_shows_what_is_computed();
}

}  // namespace
}  // namespace bobby::bot
