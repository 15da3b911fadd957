// The device's own read bandwidth, for bench: every block reads with four loads in flight a thread.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backends/cuda/bandwidth.h"
#include "backends/cuda/device.h"

namespace bobby::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kBlocks = 132 * 4 * 8;
constexpr int kPasses = 5;
constexpr std::size_t kLeast = std::size_t{256} << 20;
constexpr std::size_t kMost = std::size_t{4} << 30;

__global__ void read_kernel(const uint4* from, long long count, unsigned* to) {
  const long long stride = static_cast<long long>(gridDim.x) * kThreads;
  unsigned sum = 0;
  long long i = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    uint4 words[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) words[j] = __ldcs(from + i + j * stride);
#pragma unroll
    for (int j = 0; j < 4; ++j) sum ^= words[j].x ^ words[j].y ^ words[j].z ^ words[j].w;
  }
  if (sum == 0x9e3779b9u) *to = sum;  // or the reading would be left out
}

struct Events {
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  ~Events() {
    if (begin) cudaEventDestroy(begin);
    if (end) cudaEventDestroy(end);
  }
};

}  // namespace

Result<double> read_bandwidth(cudaStream_t stream) {
  std::size_t left = 0, total = 0;
  BOBBY_CHECK(check(cudaMemGetInfo(&left, &total), "the memory left"));
  const std::size_t bytes = std::min(left / 2, kMost) / 4096 * 4096;
  if (bytes < kLeast) return 0.0;
  BOBBY_TRY(const auto memory, DeviceMemory::zeroed(bytes, stream));
  Events events;
  BOBBY_CHECK(check(cudaEventCreate(&events.begin), "an event"));
  BOBBY_CHECK(check(cudaEventCreate(&events.end), "an event"));
  double best = 0.0;
  for (int pass = 0; pass < kPasses; ++pass) {
    cudaEventRecord(events.begin, stream);
    read_kernel<<<kBlocks, kThreads, 0, stream>>>(static_cast<const uint4*>(memory->data()),
                                                  static_cast<long long>(bytes / sizeof(uint4)),
                                                  static_cast<unsigned*>(memory->data()));
    cudaEventRecord(events.end, stream);
    BOBBY_CHECK(check(cudaEventSynchronize(events.end), "reading memory"));
    float milliseconds = 0.0f;
    BOBBY_CHECK(check(cudaEventElapsedTime(&milliseconds, events.begin, events.end), "an event"));
    best = std::max(best, static_cast<double>(bytes) / 1e6 / static_cast<double>(milliseconds));
  }
  return best;
}

}  // namespace bobby::cuda
