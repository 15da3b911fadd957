#include "cli/bot_turn.h"

#include <array>
#include <unistd.h>
#include <utility>

namespace bobby::cli {
namespace {

// A machine that dies is followed by another within this.
constexpr store::Moment kLease = 120'000;

std::string machine_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

}  // namespace

BotTurn::BotTurn(store::Outbox& outbox, const std::string& did, std::filesystem::path lock_file)
    : outbox_(outbox),
      name_("bot " + did),
      machine_(machine_name()),
      lock_file_(std::move(lock_file)) {}

BotTurn::~BotTurn() {
  if (lock_) static_cast<void>(outbox_.end_lease(name_, machine_));
}

Result<bool> BotTurn::hold(store::Moment now) {
  if (!lock_) {
    BOBBY_TRY(auto lock, bluesky::FileLock::take(lock_file_));
    if (!lock) return false;
    lock_.emplace(std::move(*lock));
  }
  return outbox_.hold_lease(name_, machine_, now, now + kLease);
}

}  // namespace bobby::cli
