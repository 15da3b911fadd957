#include "backends/cuda/training/machine.h"

#include <algorithm>
#include <numeric>

#include "backends/cuda/training/rounding.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {
namespace {

constexpr std::int64_t kNumberBytes = std::int64_t{64} << 20;  // of a weight in fp32 at once

}  // namespace

Result<void*> TrainingMachine::scratch(Use use, std::size_t bytes) {
  std::unique_ptr<DeviceMemory>& memory = scratch_[static_cast<std::size_t>(use)];
  if (!memory || memory->size() < bytes) {
    memory.reset();
    auto made = DeviceMemory::make(bytes);
    if (!made && !kept_.empty()) {
      forget_weights();
      made = DeviceMemory::make(bytes);
    }
    BOBBY_TRY(memory, std::move(made));
  }
  return memory->data();
}

Result<Blocks> TrainingMachine::round(Activation x, Use use, const int* row_numbers,
                                      std::int64_t rows) {
  if (rows < 0) rows = x.rows;
  Blocks blocks{nullptr, row_blocks_of(rows), blocks_of(x.cols)};
  BOBBY_TRY(blocks.data,
            scratch<unsigned char>(use, block_bytes(blocks.row_blocks, blocks.col_blocks)));
  round_to_blocks(x.data, row_numbers, static_cast<int>(rows), static_cast<int>(x.cols), blocks,
                  stream());
  return blocks;
}

/// A quarter of the device stays free for batches that are larger than the ones so far.
bool TrainingMachine::has_room_to_keep(std::size_t bytes) const {
  std::size_t left = 0, total = 0;
  if (cudaMemGetInfo(&left, &total) != cudaSuccess) return false;
  return left > bytes && left - bytes >= total / 4;
}

Result<Blocks> TrainingMachine::weight(const Weight& weight, Use use) {
  Blocks blocks{nullptr, blocks_of(weight.rows()), blocks_of(weight.cols())};
  const std::size_t bytes = block_bytes(blocks.row_blocks, blocks.col_blocks);
  const std::uint64_t id = on_device(weight).id();
  if (const auto found = kept_.find(id); found != kept_.end()) {
    blocks.data = static_cast<unsigned char*>(found->second->data());
    return blocks;
  }
  if (has_room_to_keep(bytes)) {
    if (auto memory = DeviceMemory::make(bytes)) {
      blocks.data = static_cast<unsigned char*>((*memory)->data());
      BOBBY_CHECK(fill(weight, blocks));
      kept_.emplace(id, *std::move(memory));
      return blocks;
    }
  }
  BOBBY_TRY(blocks.data, scratch<unsigned char>(use, bytes));
  BOBBY_CHECK(fill(weight, blocks));
  return blocks;
}

Result<void> TrainingMachine::for_rows(
    const Weight& weight, const std::function<Result<void>(const float*, int, int)>& run) {
  const std::int64_t cols = weight.cols();
  const std::int64_t row_bytes = cols * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t most =
      std::min(std::max<std::int64_t>(kNumberBytes / row_bytes / kBlock, 1) * kBlock,
               static_cast<std::int64_t>(blocks_of(weight.rows())) * kBlock);
  BOBBY_TRY(float* numbers, scratch<float>(Use::kNumbers, static_cast<std::size_t>(most * cols)));
  for (std::int64_t first = 0; first < weight.rows(); first += most) {
    const std::int64_t count = std::min(most, weight.rows() - first);
    row_ids_.resize(static_cast<std::size_t>(count));
    std::iota(row_ids_.begin(), row_ids_.end(), static_cast<std::int32_t>(first));
    BOBBY_CHECK(hooks_.embed(weight, row_ids_, {numbers, count, cols}));
    BOBBY_CHECK(run(numbers, static_cast<int>(first), static_cast<int>(count)));
  }
  return {};
}

Result<void> TrainingMachine::fill(const Weight& weight, Blocks to) {
  return for_rows(weight, [&](const float* numbers, int first, int count) -> Result<void> {
    const Blocks part{to.data + block_bytes(first / kBlock, to.col_blocks), blocks_of(count),
                      to.col_blocks};
    round_to_blocks(numbers, nullptr, count, static_cast<int>(weight.cols()), part, stream());
    return {};
  });
}

void TrainingMachine::forget_weights() {
  cudaStreamSynchronize(stream());
  kept_.clear();
}

Result<const std::byte*> TrainingMachine::put(std::span<const std::byte> bytes) {
  const auto* data = static_cast<const std::byte*>(arguments_.put(bytes.data(), bytes.size()));
  if (!data) return fail({.code = ErrorCode::kLimit, .problem = "no memory for a batch's rows"});
  return data;
}

}  // namespace bobby::cuda
