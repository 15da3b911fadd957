#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/cpu_quota.h"

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace bobby {
namespace {

// A pause is 10 to 40 ns: about as long as the caller's own work between two pieces. A yield lets a
// competing process run. After about a millisecond of both there is no work coming soon.
constexpr int kPauses = 2000;
constexpr int kYields = 1000;

// What two processors may not write at once without waiting for each other.
#if defined(__APPLE__) && defined(__aarch64__)
constexpr std::size_t kCacheLine = 128;
#else
constexpr std::size_t kCacheLine = 64;
#endif

void pause_processor() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits for `ready` by pauses, then yields; false when it was not ready after `yields` of them.
/// Negative `yields`: for ever.
template <typename Ready>
bool wait_awake(const Ready& ready, int yields) {
  for (int i = 0; i < kPauses; ++i) {
    if (ready()) return true;
    pause_processor();
  }
  for (int i = 0; i != yields; i = yields < 0 ? 0 : i + 1) {
    if (ready()) return true;
    std::this_thread::yield();
  }
  return ready();
}

/// A thread's part of the range, in blocks. Its owner and its thieves take from the front.
struct alignas(kCacheLine) Share {
  std::atomic<std::int64_t> next{0};
  std::int64_t end = 0;
};

/// What all threads work on; written by the caller while no worker is inside the gate.
struct Job {
  std::int64_t count = 0;
  std::int64_t block = 1;
  const RangeTask* task = nullptr;
};

void run_block(const Job& job, std::int64_t index, int thread) {
  const std::int64_t begin = index * job.block;
  (*job.task)(begin, std::min(begin + job.block, job.count), thread);
}

}  // namespace

struct ThreadPool::State {
  // The gate: whether a job is open, and how many workers are inside. A worker that wakes too late
  // finds it shut and leaves, so the caller never waits for a thread that has not begun.
  static constexpr std::uint32_t kOpen = 1u << 31;
  static constexpr std::uint32_t kWorkers = kOpen - 1;

  explicit State(int count) : threads(count), shares(static_cast<std::size_t>(count)) {}

  void work(int thread);
  void serve(int thread);
  void wait_for_job(std::uint32_t seen);
  void announce();

  int threads;
  std::vector<Share> shares;
  Job job;
  alignas(kCacheLine) std::atomic<std::uint32_t> gate{0};
  alignas(kCacheLine) std::atomic<std::uint32_t> epoch{0};  // jobs announced so far
  std::atomic<bool> stop{false};
  std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> workers;
};

/// The thread's own share first, then what is left of the others'.
void ThreadPool::State::work(int thread) {
  for (int i = 0; i < threads; ++i) {
    Share& share = shares[static_cast<std::size_t>((thread + i) % threads)];
    while (share.next.load(std::memory_order_relaxed) < share.end) {
      const std::int64_t index = share.next.fetch_add(1, std::memory_order_relaxed);
      if (index < share.end) run_block(job, index, thread);
    }
  }
}

void ThreadPool::State::wait_for_job(std::uint32_t seen) {
  const auto announced = [&] { return epoch.load() != seen; };
  if (wait_awake(announced, kYields)) return;
  std::unique_lock lock(mutex);
  // Sequentially consistent with announce(): either it sees this sleeper or we see its epoch.
  sleepers.fetch_add(1);
  wake.wait(lock, announced);
  sleepers.fetch_sub(1);
}

void ThreadPool::State::announce() {
  epoch.fetch_add(1);
  if (sleepers.load() == 0) return;
  { const std::lock_guard lock(mutex); }  // a sleeper between its check and its wait gets there
  wake.notify_all();
}

void ThreadPool::State::serve(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    wait_for_job(seen);
    seen = epoch.load();
    if (stop.load()) return;
    if (gate.fetch_add(1, std::memory_order_acq_rel) & kOpen) work(thread);
    gate.fetch_sub(1, std::memory_order_release);
  }
}

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>(std::max(threads, 1))) {
  assert(threads >= 1);
  try {
    for (int thread = 1; thread < threads; ++thread)
      state_->workers.emplace_back([state = state_.get(), thread] { state->serve(thread); });
  } catch (const std::system_error&) {
    // The system gives no more threads (a container's pids limit): work with those there are.
    state_->threads = static_cast<int>(state_->workers.size()) + 1;
  }
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true);
  state_->announce();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const {
  return state_->threads;
}

void ThreadPool::parallel_for(std::int64_t count, std::int64_t block, RangeTask task) {
  assert(count >= 0 && block >= 1);
  State& state = *state_;
  const Job job{count, block, &task};
  const std::int64_t blocks = (count + block - 1) / block;
  const std::int64_t threads = this->threads();
  if (threads == 1 || blocks <= 1) {
    for (std::int64_t index = 0; index < blocks; ++index) run_block(job, index, 0);
    return;
  }

  assert(!(state.gate.load() & State::kOpen) && "parallel_for is not reentrant");
  state.job = job;
  for (std::int64_t i = 0; i < threads; ++i) {
    Share& share = state.shares[static_cast<std::size_t>(i)];
    share.next.store(blocks * i / threads, std::memory_order_relaxed);
    share.end = blocks * (i + 1) / threads;
  }
  state.gate.fetch_or(State::kOpen, std::memory_order_release);
  state.announce();
  state.work(0);
  state.gate.fetch_and(~State::kOpen, std::memory_order_acq_rel);
  wait_awake([&] { return (state.gate.load(std::memory_order_acquire) & State::kWorkers) == 0; },
             -1);
}

int ThreadPool::available_processors() {
  int processors = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
  // The mask must be as long as the kernel's own, or the call fails with EINVAL.
  for (int size = 1024; size <= (1 << 20); size *= 2) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(size));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(size));
    const bool known = set != nullptr && sched_getaffinity(0, bytes, set) == 0;
    if (known) processors = CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    if (known) break;
  }
  // Rounded down: a thread more than the quota pays for is stopped in the middle of its work.
  if (const auto quota = cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup"))
    processors = std::min(processors, static_cast<int>(std::min(*quota, 1e6)));
#elif defined(__APPLE__)
  // The fast ones alone: the others would hold up each step at its end. Intel's have no such
  // levels.
  int fast = 0;
  std::size_t size = sizeof fast;
  if (::sysctlbyname("hw.perflevel0.logicalcpu", &fast, &size, nullptr, 0) == 0 && fast > 0)
    processors = std::min(processors, fast);
#endif
  return std::max(processors, 1);
}

}  // namespace bobby
