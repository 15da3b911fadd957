#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/attention_kernels.h"
#include "backends/cuda/device.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {

/// KV blocks in device memory: [layers, blocks, key or value, heads], each of
/// KvShape::head_block_bytes() as KvFormat says.
class CudaKv : public KvStorage {
 public:
  static Result<std::unique_ptr<CudaKv>> make(const KvShape& shape, cudaStream_t stream,
                                              std::shared_ptr<Unfinished> unfinished);

  /// Waits for what is enqueued.
  std::uint64_t saturated() const override;
  KvLayer layer(std::int64_t index) const;
  std::uint64_t id() const { return id_; }
  void copy_block(std::int32_t from, std::int32_t to);

 private:
  CudaKv(const KvShape& shape, cudaStream_t stream, std::shared_ptr<Unfinished> unfinished)
      : KvStorage(shape), stream_(stream), unfinished_(unfinished), finish_first_(unfinished) {}

  cudaStream_t stream_;
  std::unique_ptr<DeviceMemory> memory_;
  std::unique_ptr<DeviceMemory> counter_;
  std::uint64_t id_ = new_id();
  std::shared_ptr<Unfinished> unfinished_;
  FinishFirst finish_first_;
};

/// rope_and_store() and attention(). Where a step's rows stand is sent to the device once and used
/// by every layer.
class AttentionEngine {
 public:
  explicit AttentionEngine(cudaStream_t stream) : stream_(stream) {}

  Result<void> rope_and_store(const RopeStore& args);
  Result<void> attention(const Attention& args);
  /// The stream is idle.
  void synced() { in_flight_ = false; }

 private:
  Result<void> place(std::span<const SequenceRows> sequences);
  Result<void> send();
  Result<void> find_angles(const float* inv_freq, std::int64_t half);
  Places places() const;

  cudaStream_t stream_;
  // What the device knows: rows, then block numbers.
  std::vector<RowPlace> rows_, next_rows_;
  std::vector<std::int32_t> blocks_, next_blocks_;
  std::unique_ptr<PinnedMemory> host_;
  std::unique_ptr<DeviceMemory> device_;
  bool in_flight_ = false;
  int longest_ = 0;
  std::unique_ptr<DeviceMemory> angles_;
  const float* angles_of_ = nullptr;  // the inv_freq that the angles are of; null: none
  std::unique_ptr<DeviceMemory> scratch_;
};

}  // namespace bobby::cuda
