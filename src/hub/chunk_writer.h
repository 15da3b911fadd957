#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "base/result.h"
#include "hub/quantize_plan.h"
#include "hub/shard_store.h"

namespace bobby {

/// What is written of a job at one time: consecutive bytes of each of its tensors.
struct QuantizedChunk {
  const QuantizeJob* job = nullptr;
  std::vector<std::byte> weight;
  std::vector<std::byte> scales;  ///< empty of a copied tensor, as `biases`
  std::vector<std::byte> biases;
  std::optional<nlohmann::json> shard_note;  ///< set: the last chunk of its shard, and the note
};

/// Writes chunks to a ShardStore from a thread of its own, in the order given.
class ChunkWriter {
 public:
  /// `store` must outlive the writer, which alone may use it until finish().
  explicit ChunkWriter(ShardStore& store);
  ChunkWriter(const ChunkWriter&) = delete;
  ChunkWriter& operator=(const ChunkWriter&) = delete;
  /// Without finish(), chunks that wait are not written.
  ~ChunkWriter();

  /// A chunk to fill, once there is one that is not being written. The first error of writing.
  Result<std::unique_ptr<QuantizedChunk>> take();
  void give(std::unique_ptr<QuantizedChunk> chunk);
  /// Waits until all is written. Call once, last.
  Result<void> finish();

 private:
  void run();
  Result<void> write(QuantizedChunk& chunk);

  ShardStore& store_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<QuantizedChunk>> waiting_;  // the oldest first
  std::vector<std::unique_ptr<QuantizedChunk>> free_;
  Result<void> result_;
  bool stopped_ = false;    // at once
  bool finishing_ = false;  // once nothing waits
  std::thread thread_;
};

}  // namespace bobby
