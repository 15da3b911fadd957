#include "cli/password.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <optional>
#include <termios.h>
#include <unistd.h>

#include "cli/console.h"
#include "cli/signals.h"

namespace bobby::cli {
namespace {

constexpr const char* kVariable = "BOBBY_BLUESKY_PASSWORD";

Result<std::string> first_line(std::istream& stream, const std::string& name) {
  std::string line;
  std::getline(stream, line);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.pop_back();
  if (!line.empty()) return line;
  return fail({.code = ErrorCode::kUsage, .where = name, .problem = "holds no password"});
}

Result<std::string> read_password_file(const std::string& name) {
  if (name == "-") return first_line(std::cin, "stdin");
  errno = 0;
  std::ifstream stream(name, std::ios::binary);
  if (!stream)
    return fail({.code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                 .where = name,
                 .problem = fmt::format("cannot be read ({})", std::strerror(errno))});
  return first_line(stream, name);
}

/// The terminal, without its echo as long as this is.
class SilentTerminal {
 public:
  SilentTerminal() : descriptor_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
    if (descriptor_ < 0 || ::tcgetattr(descriptor_, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    is_silent_ = ::tcsetattr(descriptor_, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    if (is_silent_) ::tcsetattr(descriptor_, TCSAFLUSH, &before_);
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

  bool is_there() const { return is_silent_; }

  void say(const std::string& text) const {
    static_cast<void>(::write(descriptor_, text.data(), text.size()) < 0);
  }
  std::string line() const {
    std::string line;
    char c = 0;
    while (::read(descriptor_, &c, 1) == 1 && c != '\n') line += c;
    return line;
  }

 private:
  int descriptor_;
  bool is_silent_ = false;
  termios before_ = {};
};

}  // namespace

Result<std::string> ask_password(const Settings& settings, const std::string& who) {
  if (settings.given(Opt::kPasswordFile))
    return read_password_file(settings.text(Opt::kPasswordFile));
  if (auto password = settings.environment().get(kVariable)) return *std::move(password);
  std::string line;
  {
    const SilentTerminal terminal;
    if (!terminal.is_there())
      return fail({.code = ErrorCode::kUsage,
                   .where = who,
                   .problem = "needs a password, and there is no terminal to ask on",
                   .hint = fmt::format("give --password-file, or set {}", kVariable)});
    terminal.say(fmt::format("App password for {}: ", who));
    line = terminal.line();
    terminal.say("\n");
  }
  if (cancelled()) throw Interrupted();
  if (!line.empty()) return line;
  return fail({.code = ErrorCode::kUsage, .where = who, .problem = "got no password"});
}

}  // namespace bobby::cli
