#pragma once

#include <cstdio>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "app/environment.h"
#include "base/error.h"
#include "base/progress.h"

namespace bobby::cli {

/// The user wants the work to stop.
struct Interrupted {};

/// How loud, and for whom.
struct ConsoleOptions {
  bool json = false;     ///< results and errors as one JSON object a line
  bool verbose = false;  ///< detail() is shown
  bool quiet = false;    ///< note(), detail() and bars are not
};

/// Results go to stdout, everything else to stderr. Bars and colours are for terminals that want
/// them (NO_COLOR, TERM=dumb). What is written may come from any thread, a line at a time.
class Console {
 public:
  Console(const ConsoleOptions& options, const Environment& environment);

  void configure(const ConsoleOptions& options) { options_ = options; }

  bool json() const { return options_.json; }
  bool verbose() const { return options_.verbose; }
  bool quiet() const { return options_.quiet; }

  /// Whether status() and bars show: stderr is a terminal, and nobody asked for quiet.
  bool shows_status() const { return stderr_terminal_ && !options_.quiet; }

  /// Whether stdout is a terminal that wants colours, and its columns (80 if it is none).
  bool stdout_colour() const { return stdout_colour_; }
  int stdout_width() const;

  /// A result: a line of text, bytes as they are, or an object on one line. Flushed, since a reader
  /// may be waiting for it.
  void print(std::string_view line);
  void print_bytes(std::string_view bytes);
  void print_json(const nlohmann::ordered_json& object);

  /// A remark, a detail (-v), an error ("bobby: ..."), or text as it comes, on stderr.
  void note(std::string_view line);
  void detail(std::string_view line);
  void error(const Error& error);
  void partial(std::string_view text);

  /// Shows a bar on a terminal; on anything else, or with -q, nothing. Throws Interrupted after a
  /// Ctrl-C, which run() catches: so long work ends with what it had begun removed. The Console
  /// must outlive it.
  ProgressFn progress();
  /// Shows `line` on a terminal in place of the bar or line that stands; on anything else, or with
  /// -q, nothing.
  void status(std::string_view line);
  /// Removes the bar, if one stands.
  void end_progress();

  /// Whether stdout took everything. The first failure stops further writes.
  bool stdout_failed() const { return stdout_errno_ != 0; }
  int stdout_errno() const { return stdout_errno_; }

 private:
  void write(std::string_view text);
  // Within the caller's lock.
  bool bar_is_old() const;
  void show_bar(std::string_view text);
  void remove_bar();
  std::string dimmed(std::string_view text) const;

  std::mutex mutex_;
  ConsoleOptions options_;
  bool stderr_terminal_ = false;
  bool colour_ = false;  // of stderr
  bool stdout_colour_ = false;
  bool bar_shown_ = false;
  double bar_time_ = 0.0;
  int stdout_errno_ = 0;
};

/// `error` as {"error":{"code","message","where",...}}.
nlohmann::ordered_json error_json(const Error& error);

}  // namespace bobby::cli
