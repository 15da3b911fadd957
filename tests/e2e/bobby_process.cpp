#include "bobby_process.h"

#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <poll.h>
#include <signal.h>
#include <stdexcept>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bobby::e2e {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("pipe");
    read = ends[0];
    write = ends[1];
    fcntl(read, F_SETFD, FD_CLOEXEC);
    fcntl(write, F_SETFD, FD_CLOEXEC);
  }
  ~Pipe() {
    close_end(read);
    close_end(write);
  }
  static void close_end(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
};

std::vector<std::string> environment_of(const World& world) {
  std::map<std::string, std::string> variables = {
      {"HOME", world.folder.string()},
      {"XDG_CONFIG_HOME", (world.folder / "config").string()},
      {"XDG_DATA_HOME", (world.folder / "data").string()},
      {"XDG_CACHE_HOME", (world.folder / "cache").string()}};
  for (const char* kept : {"PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"})
    if (const char* value = getenv(kept)) variables[kept] = value;
  for (const auto& [name, value] : world.variables) variables[name] = value;
  std::vector<std::string> lines;
  for (const auto& [name, value] : variables) lines.push_back(name + "=" + value);
  return lines;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

struct Interrupt {
  milliseconds patience;
  std::string spoken;
};
struct Kill {
  std::chrono::microseconds after;
};

// A running bobby with its three streams.
class Process {
 public:
  Process(const World& world, const std::vector<std::string>& words) {
    std::vector<std::string> arguments = {BOBBY_BINARY_FILE};
    arguments.insert(arguments.end(), words.begin(), words.end());
    std::vector<std::string> environment = environment_of(world);
    const auto argv = pointers(arguments);
    const auto envp = pointers(environment);
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
      dup2(in_.read, STDIN_FILENO);
      dup2(out_.write, STDOUT_FILENO);
      dup2(err_.write, STDERR_FILENO);
      if (chdir(world.folder.c_str()) == 0) execve(argv[0], argv.data(), envp.data());
      _exit(127);
    }
    Pipe::close_end(in_.read);
    Pipe::close_end(out_.write);
    Pipe::close_end(err_.write);
  }

  // Ends at a moment that does not depend on what it says: the streams are read afterwards.
  Outcome finish(Kill deadly) {
    const auto end = begin_ + deadly.after;
    int status = 0;
    bool ended = false;
    while (!ended && Clock::now() < end) {
      ended = waitpid(pid_, &status, WNOHANG) == pid_;
      if (!ended) usleep(200);
    }
    if (!ended) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
    }
    while (out_.read >= 0) drain(out_.read, outcome_.out);
    while (err_.read >= 0) drain(err_.read, outcome_.err);
    outcome_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return outcome_;
  }

  Outcome finish(const std::string& input, std::optional<Interrupt> interrupt) {
    fcntl(in_.write, F_SETFL, O_NONBLOCK);
    std::size_t written = 0;
    const auto begin = Clock::now();
    std::optional<Clock::time_point> signalled;
    while (out_.read >= 0 || err_.read >= 0) {
      if (!interrupt && written == input.size()) Pipe::close_end(in_.write);
      pollfd files[] = {
          {out_.read, POLLIN, 0}, {err_.read, POLLIN, 0}, {interrupt ? -1 : in_.write, POLLOUT, 0}};
      poll(files, 3, 20);
      if (files[0].revents != 0) drain(out_.read, outcome_.out);
      if (files[1].revents != 0) drain(err_.read, outcome_.err);
      if (files[2].revents != 0) feed(input, written);
      if (interrupt && !signalled &&
          (has_said(interrupt->spoken) || Clock::now() - begin > interrupt->patience)) {
        signalled = Clock::now();
        kill(pid_, SIGINT);
      }
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    outcome_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (signalled)
      outcome_.after_signal = std::chrono::duration_cast<milliseconds>(Clock::now() - *signalled);
    return outcome_;
  }

 private:
  bool has_said(const std::string& words) const {
    const auto says = [&](const std::string& text) {
      return words.empty() ? !text.empty() : text.find(words) != std::string::npos;
    };
    return says(outcome_.out) || says(outcome_.err);
  }

  static void drain(int& file, std::string& text) {
    char buffer[4096];
    const ssize_t count = read(file, buffer, sizeof buffer);
    if (count > 0)
      text.append(buffer, static_cast<std::size_t>(count));
    else
      Pipe::close_end(file);
  }

  void feed(const std::string& input, std::size_t& written) {
    const ssize_t count = write(in_.write, input.data() + written, input.size() - written);
    if (count > 0)
      written += static_cast<std::size_t>(count);
    else
      written = input.size();  // it does not read any more
  }

  Pipe in_, out_, err_;
  pid_t pid_ = -1;
  Clock::time_point begin_ = Clock::now();
  Outcome outcome_;
};

}  // namespace

Outcome run_bobby(const World& world, const std::vector<std::string>& words,
                  const std::string& input) {
  signal(SIGPIPE, SIG_IGN);
  return Process(world, words).finish(input, std::nullopt);
}

Outcome interrupt_bobby(const World& world, const std::vector<std::string>& words,
                        milliseconds patience, const std::string& spoken) {
  return Process(world, words).finish({}, Interrupt{patience, spoken});
}

Outcome kill_bobby(const World& world, const std::vector<std::string>& words,
                   std::chrono::microseconds after) {
  return Process(world, words).finish(Kill{after});
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "bobby-e2e-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code status;
  std::filesystem::remove_all(path_, status);
}

std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void write_file(const std::filesystem::path& file, std::string_view bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace bobby::e2e
