// A deny list, and after the first NUL a text: no rule may crash or hang on any text, and what is
// refused lies within it. The text is a line of a training set and a schedule's cron expression,
// window and zone, too.

#include <cstdlib>
#include <sstream>

#include "bot/archive_posts.h"
#include "bot/filters.h"
#include "bot/mentions.h"
#include "bot/novelty.h"
#include "bot/schedule/schedule.h"

namespace {

using namespace bobby::bot;

void require(bool condition) {
  if (!condition) std::abort();
}

void filter(std::string_view list, std::string_view text) {
  FilterConfig config{.deny = parse_deny_list(list, "deny.txt")};
  if (config.deny.size() > 8) config.deny.resize(8);
  const auto made = Filter::make(config);
  if (!made) return require(!made.error().to_string().empty());
  const auto filtered = made->apply(text);
  if (!filtered) return require(!filtered.error().to_string().empty());
  for (const Refusal& refusal : filtered->refusals) {
    require(refusal.place.begin <= refusal.place.end);
    require(refusal.place.end <= filtered->text.size());
    require(!refusal.to_string().empty());
  }
  // What has no names any more has none when it is looked at again.
  require(filtered->text.size() <= text.size());
}

void compare(std::string_view first, std::string_view second) {
  NoveltyIndex index;
  index.add({.kind = SourceKind::kDraft, .id = "1"}, first);
  require(index.check(first).kind == NoveltyKind::kExact);
  const NoveltyReport report = index.check(second);
  require(report.score >= 0 && report.score <= 1);
  require(!report.to_string().empty());
  std::istringstream lines{std::string(second)};
  const auto added = add_archive(index, lines, "train.jsonl");
  require(added || !added.error().to_string().empty());
}

void schedule(std::string_view cron, std::string_view window) {
  for (const ScheduleConfig& config :
       {ScheduleConfig{.cron = std::string(cron), .zone = "Europe/Berlin"},
        ScheduleConfig{.per_day = 3, .windows = {std::string(window)}, .zone = "UTC"},
        ScheduleConfig{.per_day = 3, .zone = std::string(window)}}) {
    const auto made = Schedule::make(config);
    if (!made) {
      require(!made.error().to_string().empty());
      continue;
    }
    const TimePoint begin = std::chrono::sys_days(std::chrono::year(2025) / 3 / 29);
    const auto slots = made->slots(begin, begin + std::chrono::days(3));
    for (std::size_t i = 1; i < slots.size(); ++i) require(slots[i - 1].due < slots[i].due);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0'), size);
  const std::string_view list = input.substr(0, end);
  const std::string_view text = input.substr(std::min(end + 1, size));
  filter(list, text);
  compare(list, text);
  schedule(list, text);
  return 0;
}
