#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace bobby::cli {

/// Shows posts that are written side by side one after the other: the first live, the others when
/// their turn comes. Each begins with "[N] ", a further try with "[N, try T] ", on a line of its
/// own.
class StreamView {
 public:
  using Show = std::function<void(std::string_view)>;
  explicit StreamView(Show show) : show_(std::move(show)) {}

  /// `text` that try `attempt` (from 0) of post `index` (from 0) has gained.
  void add(std::uint32_t index, int attempt, std::string_view text);
  /// Shows what still waits. Call when nothing more comes.
  void finish();

 private:
  struct Part {
    std::uint32_t index;
    int attempt;
    auto operator<=>(const Part&) const = default;
  };

  void begin(const Part& part);

  Show show_;
  std::map<Part, std::string> waiting_;
  Part live_ = {0, -1};  // attempt -1: none yet
  int silence_ = 0;      // additions to others since the live one spoke
};

}  // namespace bobby::cli
