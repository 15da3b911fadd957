#include "cli/measure.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <vector>

#include "base/thread_pool.h"

namespace bobby::cli {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 20;
constexpr std::int64_t kBlockWords = 1 << 17;  // 1 MB: long streams, as decoding has
constexpr int kPasses = 6;

// Sums words in eight chains, so that loads and not additions are what takes the time.
std::uint64_t sum_words(const std::uint64_t* words, std::int64_t count) {
  std::uint64_t sums[8] = {};
  for (std::int64_t i = 0; i < count; i += 8)
    for (int j = 0; j < 8; ++j) sums[j] += words[i + j];
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

struct FreeBuffer {
  void operator()(std::uint64_t* words) const { std::free(words); }
};

}  // namespace

double read_bandwidth(int threads) {
  ThreadPool pool(threads > 0 ? threads : ThreadPool::available_processors());
  const std::unique_ptr<std::uint64_t, FreeBuffer> buffer(
      static_cast<std::uint64_t*>(std::aligned_alloc(std::size_t{2} << 20, kBufferBytes)));
  if (!buffer) return 0.0;
#ifdef MADV_HUGEPAGE
  madvise(buffer.get(), kBufferBytes, MADV_HUGEPAGE);  // the limit, not the page tables, is meant
#endif
  std::memset(buffer.get(), 1, kBufferBytes);
  constexpr std::int64_t kWords = kBufferBytes / sizeof(std::uint64_t);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(pool.threads()) * 8);
  double best = 0.0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const Stopwatch time;
    pool.parallel_for(kWords, kBlockWords, [&](std::int64_t begin, std::int64_t end, int thread) {
      sums[static_cast<std::size_t>(thread) * 8] += sum_words(buffer.get() + begin, end - begin);
    });
    best = std::max(best, static_cast<double>(kBufferBytes) / 1e6 / time.milliseconds());
  }
  // The sums are looked at, or the compiler would leave the reading out.
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total == 0 ? 0.0 : best;
}

std::size_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (std::size_t kilobytes = 0; word == "VmHWM:" && status >> kilobytes) return kilobytes << 10;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  return static_cast<std::size_t>(usage.ru_maxrss);
#else
  return static_cast<std::size_t>(usage.ru_maxrss) << 10;
#endif
}

bool reset_peak_rss() {
  std::ofstream control("/proc/self/clear_refs");
  control << "5";
  control.close();
  return !control.fail();
}

}  // namespace bobby::cli
