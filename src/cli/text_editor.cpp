#include "cli/text_editor.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace bobby::cli {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> not_made(const fs::path& path) {
  return fail({.code = ErrorCode::kIo,
               .where = path.string(),
               .problem = fmt::format("cannot be made ({})", std::strerror(errno))});
}

/// A folder (mode 0700) that goes with all that is in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "bobby-draft-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~ScratchFolder() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Runs `editor` (a command line, as shells take it) on a file, and says whether it ended well.
bool run_editor(const std::string& editor, const fs::path& file) {
  const std::string script = editor + " \"$1\"";
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", script.c_str(), "sh", file.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

Result<std::optional<std::string>> edit_text(const std::string& text,
                                             const Environment& environment) {
  const std::string editor =
      environment.get("VISUAL").value_or(environment.get("EDITOR").value_or("vi"));
  const ScratchFolder folder;
  if (folder.path().empty()) return not_made(fs::temp_directory_path() / "bobby-draft-XXXXXX");
  const fs::path file = folder.path() / "draft.txt";
  {
    std::ofstream stream(file, std::ios::binary);
    stream << text << '\n';
    stream.close();
    if (!stream) return not_made(file);
  }
  if (!run_editor(editor, file)) return std::nullopt;
  std::ifstream stream(file, std::ios::binary);
  std::string edited{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad())
    return fail({.code = ErrorCode::kIo, .where = file.string(), .problem = "cannot be read"});
  while (!edited.empty() && (edited.back() == '\n' || edited.back() == '\r')) edited.pop_back();
  if (edited.empty()) return std::nullopt;
  return edited;
}

}  // namespace bobby::cli
