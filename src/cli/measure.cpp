#include "cli/measure.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "safetensors/mapped_file.h"

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

/// Reads all of some memory with all threads, one pass after the other.
class Reader {
 public:
  explicit Reader(int threads)
      : pool_(threads > 0 ? threads : ThreadPool::available_processors()),
        sums_(static_cast<std::size_t>(pool_.threads()) * 8) {}

  void read(const void* memory, std::size_t bytes) {
    const auto* words = static_cast<const std::uint64_t*>(memory);
    const auto count = static_cast<std::int64_t>(bytes / sizeof(std::uint64_t)) / 8 * 8;
    pool_.parallel_for(count, kBlockWords, [&](std::int64_t begin, std::int64_t end, int thread) {
      sums_[static_cast<std::size_t>(thread) * 8] += sum_words(words + begin, end - begin);
    });
  }

  /// The sums are looked at, or the compiler would leave the reading out.
  bool has_read() const {
    std::uint64_t total = 0;
    for (const std::uint64_t sum : sums_) total += sum;
    return total != 0;
  }

 private:
  ThreadPool pool_;
  std::vector<std::uint64_t> sums_;
};

struct FreeBuffer {
  void operator()(std::uint64_t* words) const { std::free(words); }
};

}  // namespace

double read_bandwidth(int threads) {
  const std::unique_ptr<std::uint64_t, FreeBuffer> buffer(
      static_cast<std::uint64_t*>(std::aligned_alloc(std::size_t{2} << 20, kBufferBytes)));
  if (!buffer) return 0.0;
#ifdef MADV_HUGEPAGE
  madvise(buffer.get(), kBufferBytes, MADV_HUGEPAGE);  // the limit, not the page tables, is meant
#endif
  std::memset(buffer.get(), 1, kBufferBytes);
  Reader reader(threads);
  double best = 0.0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const Stopwatch time;
    reader.read(buffer.get(), kBufferBytes);
    best = std::max(best, static_cast<double>(kBufferBytes) / 1e6 / time.milliseconds());
  }
  return reader.has_read() ? best : 0.0;
}

double weights_bandwidth(const std::filesystem::path& folder, int threads) {
  std::vector<safetensors::MappedFile> files;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(folder, problem)) {
    if (entry.path().extension() != ".safetensors") continue;
    if (auto file = safetensors::MappedFile::open(entry.path())) files.push_back(std::move(*file));
  }
  Reader reader(threads);
  double best = 0.0;
  for (int pass = 0; pass < 2; ++pass) {
    const Stopwatch time;
    std::size_t bytes = 0;
    for (const auto& file : files) {
      reader.read(file.bytes().data(), file.bytes().size());
      bytes += file.bytes().size();
    }
    best = std::max(best, static_cast<double>(bytes) / 1e6 / time.milliseconds());
  }
  return reader.has_read() ? best : 0.0;
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
