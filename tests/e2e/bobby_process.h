#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bobby::e2e {

/// What a run of the binary left.
struct Outcome {
  int exit_code = -1;  ///< 128 + N after signal N
  std::string out;
  std::string err;
  std::chrono::milliseconds after_signal{0};  ///< from the signal to the end
};

/// How to run it: in a world of its own, without the tester's settings.
struct World {
  std::filesystem::path folder;  ///< home, configuration, data and working folder
  std::map<std::string, std::string> variables = {};
};

/// Runs `bobby WORDS...` with `input` on stdin.
Outcome run_bobby(const World& world, const std::vector<std::string>& words,
                  const std::string& input = {});

/// How long a bobby that says nothing takes to be in the middle of its work: with sanitizers, and
/// others beside it, it needs half a second to start.
#ifdef __SANITIZE_ADDRESS__
inline constexpr std::chrono::milliseconds kHasBegun{3000};
#else
inline constexpr std::chrono::milliseconds kHasBegun{300};
#endif

/// As run_bobby, with stdin left open; sends SIGINT once `spoken`, or where that is empty anything,
/// stands on stderr or stdout, or after `patience`.
Outcome interrupt_bobby(const World& world, const std::vector<std::string>& words,
                        std::chrono::milliseconds patience, const std::string& spoken = {});

/// As run_bobby, with SIGKILL `after` its start unless it has ended by then.
Outcome kill_bobby(const World& world, const std::vector<std::string>& words,
                   std::chrono::microseconds after);

/// A folder that is gone with the test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& file);
/// Makes the file's folder, too.
void write_file(const std::filesystem::path& file, std::string_view bytes);

}  // namespace bobby::e2e
