#include "cli/pull_view.h"

#include <chrono>
#include <deque>
#include <fmt/format.h>
#include <memory>
#include <string>

#include "app/obtain.h"
#include "cli/signals.h"

namespace bobby::cli {
namespace {

using Clock = std::chrono::steady_clock;
using hub::PullPhase;
using hub::PullProgress;

constexpr std::chrono::seconds kRateOver{4};    // a stall shows as a rate of 0 after so long
constexpr std::chrono::seconds kLineEvery{10};  // where there is no terminal
constexpr std::size_t kNameWidth = 36;

double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

std::string time_text(double time) {
  const auto whole = static_cast<std::int64_t>(time + 0.5);
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

// The end of a name tells shards apart.
std::string short_name(std::string_view name) {
  if (name.size() <= kNameWidth) return std::string(name);
  return fmt::format("...{}", name.substr(name.size() - kNameWidth + 3));
}

class PullView {
 public:
  explicit PullView(Console& console) : console_(console) {}

  void show(const PullProgress& progress) {
    if (progress.file != file_) begin(progress);
    switch (progress.phase) {
      case PullPhase::kAsking: console_.status(asking(progress)); break;
      case PullPhase::kWaiting: wait(progress); break;
      case PullPhase::kChecking:
        console_.status(fmt::format("{}: reading what is here", short_name(progress.file)));
        break;
      case PullPhase::kDownloading: download(progress); break;
      case PullPhase::kDone: finish(progress); break;
    }
  }

 private:
  struct Sample {
    Clock::time_point time;
    std::uint64_t bytes;
  };

  void begin(const PullProgress& progress) {
    file_ = std::string(progress.file);
    start_ = last_line_ = Clock::now();
    samples_.clear();
    waited_ = false;
  }

  static std::string asking(const PullProgress& progress) {
    return progress.file.empty() ? "asking the hub"
                                 : fmt::format("asking the hub for {}", short_name(progress.file));
  }

  void wait(const PullProgress& progress) {
    if (!waited_) console_.note(fmt::format("{}: another process has it, waiting", progress.file));
    waited_ = true;
  }

  // Bytes a second of the last moments.
  double rate(std::uint64_t bytes) {
    const auto now = Clock::now();
    if (samples_.empty() || bytes < samples_.back().bytes) samples_ = {{start_, bytes}};
    samples_.push_back({now, bytes});
    while (samples_.size() > 2 && now - samples_[1].time > kRateOver) samples_.pop_front();
    const double time = seconds(now - samples_.front().time);
    return time > 0 ? static_cast<double>(bytes - samples_.front().bytes) / time : 0.0;
  }

  void download(const PullProgress& progress) {
    const double speed = rate(progress.done);
    std::string line = fmt::format("{:<{}} {:>8}", short_name(progress.file), kNameWidth,
                                   size_text(progress.done));
    if (progress.total > 0)
      line += fmt::format(
          " of {}, {:3.0f}%", size_text(progress.total),
          100.0 * static_cast<double>(progress.done) / static_cast<double>(progress.total));
    line += fmt::format(", {}/s", size_text(static_cast<std::uint64_t>(speed)));
    if (speed > 0 && progress.total > progress.done)
      line += fmt::format(", {} left",
                          time_text(static_cast<double>(progress.total - progress.done) / speed));
    if (console_.shows_status()) {
      console_.status(line);
    } else if (const auto now = Clock::now(); now - last_line_ >= kLineEvery) {
      last_line_ = now;
      console_.note(line);
    }
  }

  void finish(const PullProgress& progress) {
    const double time = seconds(Clock::now() - start_);
    const std::uint64_t came = progress.done - std::min(progress.before, progress.done);
    std::string line = fmt::format("{:<{}} {:>8}", short_name(progress.file), kNameWidth,
                                   size_text(progress.done));
    if (progress.before > 0) line += fmt::format(", {} were here", size_text(progress.before));
    if (time >= 1.0)
      line += fmt::format(", {}, {}/s", time_text(time),
                          size_text(static_cast<std::uint64_t>(static_cast<double>(came) / time)));
    console_.note(line);
    file_.clear();
  }

  Console& console_;
  std::string file_;
  Clock::time_point start_{};
  Clock::time_point last_line_{};
  std::deque<Sample> samples_;
  bool waited_ = false;
};

}  // namespace

std::string size_text(std::uint64_t bytes) {
  const auto size = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", size / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.1f} MB", size / 1e6);
  if (bytes >= 1'000) return fmt::format("{:.0f} kB", size / 1e3);
  return fmt::format("{} B", bytes);
}

hub::PullWatch pull_view(Console& console, const Settings& settings) {
  const auto its = hub_settings(settings);  // what is wrong with it, the pull itself says
  const bool shown = its && its->progress && !console.quiet();
  return [view = std::make_shared<PullView>(console), shown](const PullProgress& progress) {
    if (cancelled()) throw Interrupted();
    if (shown) view->show(progress);
  };
}

}  // namespace bobby::cli
