#include "backends/cuda/top_logits.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace bobby::cuda {
namespace {

constexpr int kLooks = 1024;  // at a row's number between two questions to the driver

/// A short while, without taking the core's other thread's place.
void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Result<void> TopLogitsEngine::make_room(int rows, int cols) {
  const int chunks = top_chunks(cols);
  if (rows <= room_rows_ && chunks <= room_chunks_) return {};
  const int most_rows = std::max(rows, room_rows_);
  const int most_chunks = std::max(chunks, room_chunks_);
  room_rows_ = room_chunks_ = 0;  // until both are there
  const auto count = static_cast<std::size_t>(most_rows);
  const std::size_t slices = count * kTopSlices * sizeof(TopSlice);
  const std::size_t maxima = count * static_cast<std::size_t>(most_chunks) * sizeof(float);
  BOBBY_TRY(host_, PinnedMemory::make(count * sizeof(TopRow)));
  std::memset(host_->data(), 0, host_->size());
  BOBBY_TRY(device_, DeviceMemory::zeroed(slices + maxima + count * sizeof(unsigned), stream_));
  auto* at = static_cast<std::byte*>(device_->data());
  scratch_.slices = reinterpret_cast<TopSlice*>(at);
  scratch_.chunks = reinterpret_cast<float*>(at + slices);
  scratch_.arrived = reinterpret_cast<unsigned*>(at + slices + maxima);
  number_ = 0;
  room_rows_ = most_rows;
  room_chunks_ = most_chunks;
  return {};
}

/// By looking at the row itself: the driver's own ways of waiting take longer than all of this. The
/// driver is asked now and then, since a device that failed writes nothing.
Result<void> TopLogitsEngine::wait(const TopRow& row) {
  auto& done = const_cast<unsigned&>(row.done);
  const auto here = [&] {
    return std::atomic_ref(done).load(std::memory_order_acquire) == number_;
  };
  for (int looks = 1; !here(); ++looks) {
    relax();
    if (looks % kLooks != 0) continue;
    const cudaError_t state = cudaStreamQuery(stream_);
    if (state == cudaErrorNotReady || (state == cudaSuccess && here())) continue;
    BOBBY_CHECK(check(state, "a step"));
    BOBBY_CHECK(check(cudaGetLastError(), "a launch"));
    return check(cudaErrorUnknown, "the likeliest tokens");
  }
  return {};
}

Result<std::span<const TopLogits>> TopLogitsEngine::run(Activation logits) {
  const auto rows = static_cast<int>(logits.rows);
  const auto cols = static_cast<int>(logits.cols);
  BOBBY_CHECK(make_room(rows, cols));
  if (++number_ == 0) ++number_;  // what fresh memory holds
  auto* tops = reinterpret_cast<TopRow*>(host_->data());
  top_logits(logits.data, rows, cols, scratch_, tops, number_, stream_);
  rows_.resize(static_cast<std::size_t>(rows));
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const TopRow& top = tops[row];
    BOBBY_CHECK(wait(top));
    TopLogits& to = rows_[row];
    to = {};
    to.finite = top.bad == 0;
    to.largest = top.largest;
    to.floor = to.largest - kTopDepth;
    to.sum_exp = top.sum_exp;
    if (top.count > kTopTokens) continue;
    const auto listed = static_cast<std::size_t>(top.count);
    to.tokens = {top.tokens, listed};
    to.logits = {top.logits, listed};
  }
  return std::span<const TopLogits>(rows_);
}

}  // namespace bobby::cuda
