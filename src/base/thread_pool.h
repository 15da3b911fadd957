#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace bobby {

/// A reference to a callable `void(begin, end, thread)`; must not outlive it. No allocation.
class RangeTask {
 public:
  template <typename F, typename = std::enable_if_t<!std::is_same_v<std::decay_t<F>, RangeTask>>>
  RangeTask(F&& callable)  // NOLINT(google-explicit-constructor): a lambda is passed in place
      : object_(const_cast<void*>(static_cast<const void*>(&callable))),
        call_([](void* object, std::int64_t begin, std::int64_t end, int thread) {
          (*static_cast<std::remove_reference_t<F>*>(object))(begin, end, thread);
        }) {}

  void operator()(std::int64_t begin, std::int64_t end, int thread) const {
    call_(object_, begin, end, thread);
  }

 private:
  void* object_;
  void (*call_)(void*, std::int64_t, std::int64_t, int);
};

/// Persistent threads for short, repeated pieces of work (thousands a second). The caller is thread
/// 0 and works too. Each thread walks its own contiguous share of the range in blocks, then steals
/// from the others'; idle threads spin briefly, yield, then sleep, so that a competing process
/// costs no more than its share. One parallel_for at a time; not reentrant.
class ThreadPool {
 public:
  /// `threads` >= 1; 1 runs everything in the caller.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Including the caller; fewer than asked for where the system gave no more.
  int threads() const;

  /// Covers [0, count) with calls task(begin, end, thread), each of at most `block` items and
  /// starting at a multiple of `block`; thread is in [0, threads()). Returns when all are done.
  void parallel_for(std::int64_t count, std::int64_t block, RangeTask task);

  /// Processors that this process may run on (affinity and cgroup quota), at least 1.
  static int available_processors();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bobby
