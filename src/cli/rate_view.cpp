#include "cli/rate_view.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <unistd.h>

#include "cli/signals.h"

namespace bobby::cli {
namespace {

constexpr double kSecondsBetweenNotes = 10;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::ceil(seconds));
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

ProgressFn RateView::progress() {
  return [this](const Progress& progress) { show(progress); };
}

std::string RateView::line(const Progress& progress, std::uint64_t begin, double seconds) {
  constexpr int kWidth = 24;
  const auto total = static_cast<double>(std::max<std::uint64_t>(progress.total, 1));
  const double share = std::min(1.0, static_cast<double>(progress.done) / total);
  const int filled = static_cast<int>(share * kWidth);
  std::string text = fmt::format("{:<9} [{:#<{}}{:.<{}}] {:3.0f}% of {:.2f} GB", progress.phase, "",
                                 filled, "", kWidth - filled, 100.0 * share, total / 1e9);
  const double moved = static_cast<double>(progress.done - std::min(begin, progress.done));
  if (seconds < 0.5 || moved <= 0) return text;
  const double rate = moved / seconds;
  text += fmt::format("  {:.0f} MB/s", rate / 1e6);
  if (progress.done < progress.total)
    text +=
        fmt::format("  {} left", clock_text((total - static_cast<double>(progress.done)) / rate));
  return text;
}

void RateView::show(const Progress& progress) {
  if (cancelled()) throw Interrupted();
  const double now = seconds_now();
  if (phase_ != progress.phase) {
    phase_ = progress.phase;
    begin_ = progress.done;
    begin_time_ = note_time_ = now;
  }
  if (::isatty(STDERR_FILENO) == 1) {
    console_.status(line(progress, begin_, now - begin_time_));
  } else if (now - note_time_ >= kSecondsBetweenNotes) {
    note_time_ = now;
    console_.note(line(progress, begin_, now - begin_time_));
  }
}

}  // namespace bobby::cli
