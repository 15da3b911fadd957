#include "cli/stream_view.h"

#include <fmt/format.h>

namespace bobby::cli {
namespace {

// All rows of a batch gain a token a step, but one may hold back bytes for a while: this many
// additions by others for each waiting post mean that the live one has ended.
constexpr int kSilence = 8;

}  // namespace

void StreamView::begin(const Part& part) {
  if (live_.attempt >= 0) show_("\n");
  show_(part.attempt == 0 ? fmt::format("[{}] ", part.index + 1)
                          : fmt::format("[{}, try {}] ", part.index + 1, part.attempt + 1));
  live_ = part;
  silence_ = 0;
}

void StreamView::add(std::uint32_t index, int attempt, std::string_view text) {
  const Part part{index, attempt};
  if (live_.attempt < 0) begin(part);
  if (part == live_) {
    show_(text);
    silence_ = 0;
    return;
  }
  waiting_[part] += text;
  if (++silence_ <= kSilence * static_cast<int>(waiting_.size())) return;
  const auto next = waiting_.begin();
  const std::string gained = std::move(next->second);
  begin(next->first);
  waiting_.erase(next);
  show_(gained);
}

void StreamView::finish() {
  for (const auto& [part, text] : waiting_) {
    begin(part);
    show_(text);
  }
  waiting_.clear();
  if (live_.attempt >= 0) show_("\n");
  live_ = {0, -1};
}

}  // namespace bobby::cli
