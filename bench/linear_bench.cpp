// The kernels of linear() beside the read bandwidth of the machine, in one run:
//   linear_bench [--threads=N] [Google Benchmark's own options, e.g. --benchmark_filter=vnni]
// bytes_per_second counts the weight's bytes (levels, scales, biases); MAC is weights times rows of
// x. The weights go round in a ring larger than the caches, as a model's layers do in a step.

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/linear/linear.h"

namespace bobby {
namespace {

constexpr std::size_t kRingBytes = std::size_t{384} << 20;
constexpr std::int64_t kCols = 4096;
constexpr std::int64_t kRows = 4096;

/// Random bytes shared by all benchmarks: what a kernel reads does not change its speed, but NaN
/// and subnormal scales might, so scales and biases are small numbers from a memory of their own.
const std::vector<std::byte>& ring() {
  static const std::vector<std::byte> bytes = [] {
    std::vector<std::byte> filled(kRingBytes);
    std::mt19937_64 random(1);
    for (std::size_t i = 0; i + 8 <= filled.size(); i += 8) {
      const std::uint64_t value = random();
      std::memcpy(filled.data() + i, &value, sizeof value);
    }
    return filled;
  }();
  return bytes;
}

void read_bandwidth(benchmark::State& state, int threads) {
  ThreadPool pool(threads);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads) * 8);
  const auto* words = reinterpret_cast<const std::uint64_t*>(ring().data());
  const auto count = static_cast<std::int64_t>(kRingBytes / 8);
  for (auto _ : state) {
    pool.parallel_for(count, 1 << 17, [&](std::int64_t begin, std::int64_t end, int thread) {
      std::uint64_t sum = 0;
      for (std::int64_t i = begin; i < end; ++i) sum ^= words[i];
      sums[static_cast<std::size_t>(thread) * 8] ^= sum;
    });
    benchmark::DoNotOptimize(sums.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kRingBytes));
}

/// As many weights of one format as fit the ring, levels in a row as in a file.
struct Weights {
  explicit Weights(const WeightFormat& format) {
    WeightView view;
    view.format = format;
    view.rows = kRows;
    view.cols = kCols;
    const std::size_t levels = view.weight_row_bytes() * kRows;
    const std::size_t scale_bytes = view.scales_row_bytes() * kRows;
    scales.resize(scale_bytes / 2 * (kRingBytes / levels), 0x3c00);  // 0.0078 or 1.0: small, finite
    for (std::size_t at = 0; at + levels <= kRingBytes; at += levels) {
      view.weight = ring().data() + at;
      view.scales = reinterpret_cast<const std::byte*>(scales.data()) + at / levels * scale_bytes;
      view.biases = view.scales;
      weights.push_back(std::make_unique<Weight>(view));
    }
  }
  std::vector<std::uint16_t> scales;
  std::vector<std::unique_ptr<Weight>> weights;
};

void linear(benchmark::State& state, CpuIsa isa, int threads, const WeightFormat& format) {
  ThreadPool pool(threads);
  cpu::LinearEngine engine(isa, pool);
  const Weights weights(format);
  const std::int64_t rows = state.range(0);
  std::vector<float> x(static_cast<std::size_t>(rows * kCols));
  std::vector<float> out(static_cast<std::size_t>(rows * kRows));
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(random);
  std::size_t next = 0;
  for (auto _ : state) {
    Projection projection;
    projection.weight = weights.weights[next++ % weights.weights.size()].get();
    projection.out = {out.data(), rows, kRows};
    engine.linear({x.data(), rows, kCols}, {&projection, 1});
    benchmark::DoNotOptimize(out.data());
  }
  const auto bytes = static_cast<std::int64_t>(weights.weights[0]->view().total_bytes());
  state.SetBytesProcessed(state.iterations() * bytes);
  state.counters["MAC"] = benchmark::Counter(
      static_cast<double>(state.iterations() * rows * kRows * kCols), benchmark::Counter::kIsRate);
}

WeightFormat affine(int bits, int group_size) {
  return {WeightFormat::Kind::kAffine, DType::kBF16, bits, group_size};
}

void register_all(int threads) {
  const std::string suffix = "/threads:" + std::to_string(threads);
  const auto add_read = [&] {
    benchmark::RegisterBenchmark(("read" + suffix).c_str(), read_bandwidth, threads)->UseRealTime();
  };
  const WeightFormat bf16 = {WeightFormat::Kind::kDense, DType::kBF16, 0, 0};
  for (const CpuIsa isa : available_isas()) {
    add_read();  // again for each instruction set: neighbours on the machine come and go
    for (const WeightFormat& format :
         {affine(4, 64), affine(4, 32), affine(4, 128), affine(8, 64), affine(6, 64), bf16}) {
      const std::string name = std::string(isa_name(isa)) + "/" + format.to_string() + suffix;
      auto* added = benchmark::RegisterBenchmark(name.c_str(), linear, isa, threads, format);
      added->UseRealTime()->Arg(1);
      if (format == affine(4, 64))
        added->Arg(2)->Arg(3)->Arg(4)->Arg(6)->Arg(10)->Arg(16)->Arg(128);
    }
  }
}

}  // namespace
}  // namespace bobby

int main(int argc, char** argv) {
  int threads = bobby::ThreadPool::available_processors();
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("--threads=")) {
      threads = std::max(1, std::atoi(argument.c_str() + 10));
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  bobby::register_all(threads);
  benchmark::RunSpecifiedBenchmarks();
}
