#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <set>

#include "unit/bot/schedule_fixture.h"
#include "unit/bot/year_simulation.h"

namespace bobby::bot {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;

constexpr int kDays = 365;

struct DayCount {
  int in_time = 0;
  int late = 0;
  int dropped = 0;
};

// What happened on each day of the zone's calendar, and at each hour of its clocks.
struct Counts {
  std::array<DayCount, kDays> days{};
  std::array<int, 24> hours{};
  std::set<int> changes;  // days on which clocks change
};

int day_number(const Schedule& schedule, TimePoint time) {
  const LocalDate first = std::chrono::local_days(std::chrono::year(2025) / 1 / 1);
  const auto day = (schedule.zone().date_of(time) - first).count();
  return static_cast<int>(std::clamp<std::int64_t>(day, 0, kDays - 1));
}

Counts count(const Schedule& schedule, const Year& year) {
  Counts counts;
  for (const Posted& post : year.posted) {
    DayCount& day = counts.days[static_cast<std::size_t>(day_number(schedule, post.time))];
    ++(post.late ? day.late : day.in_time);
    const LocalTime local = schedule.zone().to_local(post.time);
    const auto hour = (local - std::chrono::floor<days>(local)) / 1h;
    ++counts.hours[static_cast<std::size_t>(hour)];
  }
  for (const DroppedSlot& dropped : year.dropped)
    ++counts.days[static_cast<std::size_t>(day_number(schedule, dropped.slot.due))].dropped;
  const LocalDate first = std::chrono::local_days(std::chrono::year(2025) / 1 / 1);
  for (int i = 0; i < kDays; ++i) {
    const LocalDate date = first + days(i);
    const Zone& zone = schedule.zone();
    if (zone.first(date + days(1)) - zone.first(date) != 24h) counts.changes.insert(i);
  }
  return counts;
}

int total(const DayCount& day) {
  return day.in_time + day.late;
}

// The most posts within any 60 minutes.
std::size_t busiest_hour(const std::vector<Posted>& posted) {
  std::size_t most = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < posted.size(); ++i) {
    while (posted[i].time - posted[first].time >= 1h) ++first;
    most = std::max(most, i + 1 - first);
  }
  return most;
}

std::string change_days(const Counts& counts) {
  std::string text;
  for (const int day : counts.changes) {
    const std::chrono::year_month_day date{
        std::chrono::local_days(std::chrono::year(2025) / 1 / 1) + days(day)};
    text += fmt::format("{}{:02}-{:02}: {}", text.empty() ? "" : ", ",
                        static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                        total(counts.days[static_cast<std::size_t>(day)]));
  }
  return text.empty() ? "-" : text;
}

std::string row(const Scenario& scenario, const Year& year) {
  const Schedule schedule = made(scenario.config);
  const Counts counts = count(schedule, year);
  const auto late = std::ranges::count_if(year.posted, &Posted::late);
  const auto missed = std::ranges::count(year.dropped, DropReason::kMissed, &DroppedSlot::reason);
  const auto [least, most] = std::ranges::minmax(counts.days, {}, total);
  return fmt::format(
      "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {}..{} of {} | {} of {} | {} |\n",
      scenario.name, scenario.about, name_of(scenario.config.misfire), year.slots.size(),
      std::ssize(year.posted) - late, late, missed, std::ssize(year.dropped) - missed,
      year.waiting.size(), total(least), total(most), scenario.config.daily_cap,
      busiest_hour(year.posted), scenario.config.hourly_cap, change_days(counts));
}

// The plot: for each scenario a bar a day, and one an hour of the day.
constexpr int kLeft = 20;
constexpr int kDayWidth = 2;
constexpr int kHourLeft = kLeft + kDays * kDayWidth + 30;
constexpr int kHourWidth = 7;
constexpr int kTop = 50;
constexpr int kRow = 104;
constexpr int kHeight = 64;

std::string bar(std::string_view kind, double x, double y, double width, double height) {
  if (height <= 0) return "";
  return fmt::format(
      "<rect class=\"{}\" x=\"{:.0f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>", kind, x,
      y, width, height);
}

std::string plot_days(const Scenario& scenario, const Schedule& schedule, const Counts& counts,
                      int base) {
  std::string svg;
  const Span whole = year_of(schedule);
  for (const Span& span : scenario.away) {
    const double scale = kDays * kDayWidth / static_cast<double>((whole.end - whole.begin).count());
    const double x = static_cast<double>((span.begin - whole.begin).count()) * scale;
    const double width = static_cast<double>((span.end - span.begin).count()) * scale;
    svg += bar("away", kLeft + x, base - kHeight, std::max(width, 0.5), kHeight);
  }
  int most = 1;
  for (const DayCount& day : counts.days) most = std::max(most, total(day) + day.dropped);
  const double unit = static_cast<double>(kHeight) / most;
  std::map<std::string_view, std::string> bars;  // of each kind, one path
  for (int i = 0; i < kDays; ++i) {
    const DayCount& day = counts.days[static_cast<std::size_t>(i)];
    double y = base;
    for (const auto& [kind, number] :
         {std::pair{"time", day.in_time}, {"late", day.late}, {"drop", day.dropped}}) {
      if (number == 0) continue;
      bars[kind] += fmt::format("M{} {:.1f}V{:.1f}", kLeft + i * kDayWidth + kDayWidth / 2, y,
                                y - number * unit);
      y -= number * unit;
    }
  }
  for (const auto& [kind, path] : bars)
    svg += fmt::format("<path class=\"{} day\" d=\"{}\"/>", kind, path);
  for (const int day : counts.changes)
    svg += fmt::format("<path class=\"change\" d=\"M{0} {1}V{2}\"/>", kLeft + day * kDayWidth + 1,
                       base - kHeight - 4, base);
  const double cap = base - scenario.config.daily_cap * unit;
  if (scenario.config.daily_cap <= most)
    svg += fmt::format("<path class=\"cap\" d=\"M{} {:.1f}H{}\"/>", kLeft, cap,
                       kLeft + kDays * kDayWidth);
  return svg + fmt::format("<text class=\"n\" x=\"{}\" y=\"{}\">{}</text>\n", kLeft - 4,
                           base - kHeight + 8, most);
}

std::string plot_hours(const Counts& counts, int base) {
  std::string svg;
  const int most = std::max(1, std::ranges::max(counts.hours));
  for (int hour = 0; hour < 24; ++hour) {
    const double height =
        static_cast<double>(counts.hours[static_cast<std::size_t>(hour)]) * kHeight / most;
    svg += bar("time", kHourLeft + hour * kHourWidth, base - height, kHourWidth - 1, height);
  }
  for (const int hour : {0, 6, 12, 18, 24})
    svg += fmt::format("<text class=\"m\" x=\"{}\" y=\"{}\">{}</text>",
                       kHourLeft + hour * kHourWidth, base + 11, hour);
  return svg + "\n";
}

}  // namespace

std::string year_table(const std::vector<Scenario>& scenarios, const std::vector<Year>& years) {
  std::string text =
      "# Lab note: a bot's year on a fake clock\n\n"
      "2025, planned by `src/bot/schedule` as a daemon would: it sleeps until it is to look again "
      "(an "
      "hour at most), wakes up to\nfive seconds late, forgets everything but what the store keeps "
      "every 97 plans, and is off or asleep as the scenario says.\n`bot_year_test` computes this "
      "page "
      "and its plot, holds every promise on every slot (each fires, is dropped or waits, once; "
      "the\n"
      "caps within any 60 minutes and any local day; quiet hours; the misfire policy), and fails "
      "when "
      "the page says otherwise\n(`BOBBY_WRITE_DOCS=1` renews it).\n\n"
      "| scenario | what | misfire | slots | in time | late | dropped: missed | dropped: daily cap "
      "| "
      "waiting at the end | posts a day, of cap | most in 60 min, of cap | posts on days of clock "
      "changes |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (std::size_t i = 0; i < scenarios.size(); ++i) text += row(scenarios[i], years[i]);
  text += "\n![Posts of each day and of each hour](bot-year.svg)\n\n";
  text += "What the scenario of the wrong clock says, once each:\n\n";
  for (const std::string& note : years.back().notes) text += "- " + note + "\n";
  return text;
}

std::string year_plot(const std::vector<Scenario>& scenarios, const std::vector<Year>& years) {
  const int width = kHourLeft + 24 * kHourWidth + 16;
  const int height = kTop + static_cast<int>(scenarios.size()) * kRow;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"11\">\n"
      "<style>svg{{background:#fff}}text{{fill:#222}}.n{{text-anchor:end;font-size:9px}}"
      ".m{{text-anchor:middle;font-size:9px}}.time{{fill:#2f6fab;stroke:#2f6fab}}.late{{fill:#"
      "e08a1e;stroke:#e08a1e}}"
      ".drop{{fill:#c9c9c9;stroke:#c9c9c9}}rect{{stroke-width:0}}.day{{stroke-width:2}}.away{{fill:"
      "#f7d9d9}}.change{{stroke:#555;stroke-dasharray:2 2}}"
      ".cap{{stroke:#b03030;stroke-width:.7;fill:none}}.axis{{stroke:#999}}"
      "@media(prefers-color-scheme:dark){{svg{{background:#16181c}}text{{fill:#ddd}}"
      ".drop{{fill:#555;stroke:#555}}.away{{fill:#4a2a2a}}.change{{stroke:#aaa}}}}</style>\n",
      width, height);
  const auto key = [&](int x, std::string_view kind, std::string_view text) {
    return bar(kind, x, 12, 9, 9) + fmt::format("<text x=\"{}\" y=\"20\">{}</text>", x + 13, text);
  };
  svg += key(kLeft, "time", "in time") + key(kLeft + 75, "late", "made up for") +
         key(kLeft + 170, "drop", "dropped") + key(kLeft + 245, "away", "off or asleep") +
         fmt::format("<text x=\"{}\" y=\"20\">dashed: clocks change; red: daily cap</text>",
                     kLeft + 345) +
         fmt::format("<text x=\"{}\" y=\"20\">posts by hour of the day</text>\n", kHourLeft);
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    const Schedule schedule = made(scenarios[i].config);
    const Counts counts = count(schedule, years[i]);
    const int base = kTop + static_cast<int>(i) * kRow + kHeight + 14;
    svg +=
        fmt::format("<text x=\"{}\" y=\"{}\"><tspan font-weight=\"bold\">{}</tspan>: {}; {}</text>",
                    kLeft, base - kHeight - 8, scenarios[i].name, scenarios[i].about,
                    name_of(scenarios[i].config.misfire));
    svg += fmt::format("<path class=\"axis\" d=\"M{} {}H{}M{} {}H{}\"/>\n", kLeft, base,
                       kLeft + kDays * kDayWidth, kHourLeft, base, kHourLeft + 24 * kHourWidth);
    svg += plot_days(scenarios[i], schedule, counts, base) + plot_hours(counts, base);
  }
  return svg + "</svg>\n";
}

}  // namespace bobby::bot
