#include "backends/cuda/top_logits.h"

#include <algorithm>

namespace bobby::cuda {

Result<std::span<const TopLogits>> TopLogitsEngine::run(Activation logits) {
  const auto count = static_cast<std::size_t>(logits.rows);
  const std::size_t bytes = count * sizeof(TopRow);
  if (!device_ || device_->size() < bytes) {
    device_.reset();  // last made, so that it stands for both
    BOBBY_TRY(host_, PinnedMemory::make(bytes));
    BOBBY_TRY(device_, DeviceMemory::make(bytes));
  }
  top_logits(logits.data, static_cast<int>(logits.rows), static_cast<int>(logits.cols),
             static_cast<TopRow*>(device_->data()), stream_);
  BOBBY_CHECK(
      check(cudaMemcpyAsync(host_->data(), device_->data(), bytes, cudaMemcpyDeviceToHost, stream_),
            "the likeliest tokens"));
  BOBBY_CHECK(check(cudaStreamSynchronize(stream_), "the likeliest tokens"));
  rows_.resize(count);
  const auto* from = reinterpret_cast<const TopRow*>(host_->data());
  for (std::size_t row = 0; row < count; ++row) {
    const TopRow& top = from[row];
    TopLogits& to = rows_[row];
    to = {};
    to.finite = std::ranges::none_of(top.bad, [](int bad) { return bad != 0; });
    to.largest = *std::ranges::max_element(top.largest);
    to.floor = to.largest - kTopDepth;
    for (const float sum : top.sum_exp) to.sum_exp += sum;
    if (top.count > kTopTokens) continue;
    const auto listed = static_cast<std::size_t>(top.count);
    to.tokens = {top.tokens, listed};
    to.logits = {top.logits, listed};
  }
  return std::span<const TopLogits>(rows_);
}

}  // namespace bobby::cuda
