#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include "base/result.h"
#include "cli/bot_writing.h"

namespace bobby::cli {

/// Writes drafts beside other work, in a thread of its own, one order at a time. Its methods are
/// called from one thread.
class DraftThread {
 public:
  /// May throw Interrupted, and ends soon once `order.stop` is set.
  using Write = std::function<Result<StoredDrafts>(const DraftOrder& order)>;

  explicit DraftThread(Write write) : write_(std::move(write)) {}
  /// Has an order that is under way end, and waits for that.
  ~DraftThread();
  DraftThread(const DraftThread&) = delete;
  DraftThread& operator=(const DraftThread&) = delete;

  /// From begin() until take() has said what became of it.
  bool is_busy() const { return thread_.joinable(); }
  /// Whether take() has something to say.
  bool is_done() const { return is_busy() && done_; }
  /// Not while it is busy.
  void begin(DraftOrder order);
  /// What became of the order, once; nothing while it is under way, and where there is none.
  /// kCancelled: it was interrupted.
  std::optional<Result<StoredDrafts>> take();

 private:
  Write write_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> done_{false};
  std::optional<Result<StoredDrafts>> result_;  // of the thread until done_
};

}  // namespace bobby::cli
