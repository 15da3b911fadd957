#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/cuda/attention_kernels.h"
#include "backends/cuda/device.h"
#include "backends/cuda/row_attention.h"
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
  /// All layers of a block, KvShape::block_bytes(), to or from host memory. Waits.
  Result<void> read_block(std::int32_t block, std::byte* host) const;
  Result<void> write_block(std::int32_t block, const std::byte* host);

 private:
  /// Bytes of a block in one layer, and where they lie.
  std::size_t layer_bytes() const {
    return 2 * static_cast<std::size_t>(shape().num_key_value_heads) * shape().head_block_bytes();
  }
  unsigned char* block(std::int64_t layer, std::int32_t number) const;

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

  /// Whether rope_and_store() can be left to the attention() of the same rows that follows: heads
  /// of 128, each row its sequence's only one. Then it is held back until attention() or
  /// finish_rope().
  Result<bool> hold_rope(const RopeStore& args);
  bool holds_rope() const { return held_.has_value(); }
  /// Whether `args` are of the rows, heads and layer that are held back.
  bool continues_rope(const Attention& args);
  void finish_rope();

  Result<void> rope_and_store(const RopeStore& args);
  /// Whether attention() of `args` puts all of its rows into `tiles`.
  bool rounds(const Attention& args) const;
  /// With the rope_and_store() that is held back, if one is; `deltas`: of its q, k and v. `tiles`:
  /// where `out` is put rounded, too, if it is of rows of decode.
  Result<void> attention(const Attention& args, const RowTiles& tiles, const Deltas& deltas);
  /// The stream is idle.
  void synced() { in_flight_ = false; }

 private:
  /// Whether the device knows these rows.
  bool is_placed(std::span<const SequenceRows> sequences, const CudaKv& kv);
  Result<void> place(std::span<const SequenceRows> sequences, const CudaKv& kv);
  Result<void> send();
  Result<void> find_angles(const float* inv_freq, std::int64_t half);
  Places places() const;
  RopeArgs rope_args(const RopeStore& args) const;

  /// rope_and_store() of the rows that are placed.
  struct HeldRope {
    RopeArgs args;
    KvLayer layer;
  };

  cudaStream_t stream_;
  std::optional<HeldRope> held_;
  // What the device knows: rows, then block numbers.
  std::vector<RowPlace> rows_, next_rows_;
  std::vector<std::int32_t> blocks_, next_blocks_;
  std::unique_ptr<PinnedMemory> host_;
  std::unique_ptr<DeviceMemory> device_;
  bool in_flight_ = false;
  int longest_ = 0;
  std::int64_t block_tokens_ = 0;
  bool alone_ = false;  // each row is its sequence's only one, in blocks that no other row writes
  std::unique_ptr<DeviceMemory> angles_;
  const float* angles_of_ = nullptr;  // the inv_freq that the angles are of; null: none
  std::unique_ptr<DeviceMemory> scratch_;
  std::unique_ptr<DeviceMemory> arrived_;  // of the chunks of a row's heads: zero between launches
};

}  // namespace bobby::cuda
