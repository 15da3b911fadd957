#include "cli/draft_thread.h"

#include <utility>

#include "cli/console.h"

namespace bobby::cli {

DraftThread::~DraftThread() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void DraftThread::begin(DraftOrder order) {
  order.stop = &stop_;
  done_ = false;
  thread_ = std::thread([this, order = std::move(order)] {
    try {
      result_ = write_(order);
    } catch (const Interrupted&) {
      result_ = fail({.code = ErrorCode::kCancelled, .problem = "interrupted"});
    }
    done_ = true;
  });
}

std::optional<Result<StoredDrafts>> DraftThread::take() {
  if (!is_done()) return std::nullopt;
  thread_.join();
  return std::exchange(result_, std::nullopt);
}

}  // namespace bobby::cli
