#include "cli/console.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/signals.h"

namespace bobby::cli {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Text of models and files may hold bytes that are not UTF-8: they become U+FFFD, never a throw.
std::string dump(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string bar_text(const Progress& progress) {
  constexpr int kWidth = 30;
  if (progress.total == 0) return fmt::format("{}...", progress.phase);
  const double share =
      std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(progress.total));
  const int filled = static_cast<int>(share * kWidth);
  return fmt::format("{:<12} [{:#<{}}{:.<{}}] {:3.0f}%", progress.phase, "", filled, "",
                     kWidth - filled, 100.0 * share);
}

}  // namespace

nlohmann::ordered_json error_json(const Error& error) {
  nlohmann::ordered_json body = {{"code", code_name(error.code)}};
  body["message"] = error.to_string();
  if (!error.where.empty()) body["where"] = error.where;
  body["problem"] = error.problem;
  if (!error.expected.empty()) body["expected"] = error.expected;
  if (!error.found.empty()) body["found"] = error.found;
  if (!error.hint.empty()) body["hint"] = error.hint;
  for (const Error& other : error.also) body["also"].push_back(error_json(other)["error"]);
  return {{"error", body}};
}

Console::Console(const ConsoleOptions& options, const Environment& environment)
    : options_(options), stderr_terminal_(isatty(STDERR_FILENO) == 1) {
  const bool dumb = environment.get("TERM").value_or("dumb") == "dumb";
  const bool wanted = !dumb && !environment.get("NO_COLOR");
  colour_ = stderr_terminal_ && wanted;
  stdout_colour_ = isatty(STDOUT_FILENO) == 1 && wanted;
}

int Console::stdout_width() const {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return std::clamp<int>(size.ws_col, 40, 160);
}

void Console::write(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (stdout_errno_ != 0) return;
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    stdout_errno_ = errno != 0 ? errno : EIO;
}

void Console::print(std::string_view line) {
  write(std::string(line) + "\n");
}

void Console::print_bytes(std::string_view bytes) {
  write(bytes);
}

void Console::print_json(const nlohmann::ordered_json& object) {
  print(dump(object));
}

std::string Console::dimmed(std::string_view text) const {
  return colour_ ? fmt::format("\033[2m{}\033[0m", text) : std::string(text);
}

void Console::note(std::string_view line) {
  if (options_.quiet) return;
  const std::lock_guard lock(mutex_);
  remove_bar();
  fmt::print(stderr, "{}\n", dimmed(line));
}

void Console::detail(std::string_view line) {
  if (options_.verbose) note(line);
}

void Console::partial(std::string_view text) {
  if (options_.quiet) return;
  const std::lock_guard lock(mutex_);
  fmt::print(stderr, "{}", text);
  std::fflush(stderr);
}

void Console::error(const Error& error) {
  const std::lock_guard lock(mutex_);
  remove_bar();
  if (options_.json)
    fmt::print(stderr, "{}\n", dump(error_json(error)));
  else
    fmt::print(stderr, "{} {}\n", colour_ ? "\033[31mbobby:\033[0m" : "bobby:", error.to_string());
}

ProgressFn Console::progress() {
  return [this](const Progress& progress) {
    if (cancelled()) throw Interrupted();
    if (!stderr_terminal_ || options_.quiet) return;
    const std::lock_guard lock(mutex_);
    if (bar_shown_ && !bar_is_old() && progress.done != progress.total) return;
    show_bar(bar_text(progress));
  };
}

void Console::status(std::string_view line) {
  if (!stderr_terminal_ || options_.quiet) return;
  const std::lock_guard lock(mutex_);
  if (!bar_shown_ || bar_is_old()) show_bar(line);
}

bool Console::bar_is_old() const {
  return seconds_now() - bar_time_ >= 0.05;
}

void Console::show_bar(std::string_view text) {
  bar_time_ = seconds_now();
  bar_shown_ = true;
  fmt::print(stderr, "\r\033[K{}", text);
  std::fflush(stderr);
}

void Console::end_progress() {
  const std::lock_guard lock(mutex_);
  remove_bar();
}

void Console::remove_bar() {
  if (!bar_shown_) return;
  bar_shown_ = false;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

}  // namespace bobby::cli
