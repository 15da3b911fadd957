#pragma once

// Memory of a CUDA device, and the ways into it.

#include <cstddef>
#include <cstdint>
#include <cuda_runtime.h>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backends/backend.h"
#include "base/thread_pool.h"

namespace bobby::cuda {

/// kInternal with CUDA's own words, unless `code` is success.
Result<void> check(cudaError_t code, std::string_view what);

/// Device memory, 256-byte aligned, freed at the end.
class DeviceMemory : public Buffer {
 public:
  /// kLimit says how much the device has left. `zeroed` is enqueued on `stream`.
  static Result<std::unique_ptr<DeviceMemory>> make(std::size_t bytes);
  static Result<std::unique_ptr<DeviceMemory>> zeroed(std::size_t bytes, cudaStream_t stream);
  ~DeviceMemory() override;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  void* data() const override { return data_; }
  std::size_t size() const override { return size_; }

 private:
  DeviceMemory(void* data, std::size_t size) : data_(data), size_(size) {}
  void* data_;
  std::size_t size_;
};

/// Page-locked host memory, which copies to and from the device do not wait for.
class PinnedMemory {
 public:
  static Result<std::unique_ptr<PinnedMemory>> make(std::size_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  PinnedMemory(std::byte* data, std::size_t size) : data_(data), size_(size) {}
  std::byte* data_;
  std::size_t size_;
};

/// Copies host memory (a mapped file) to the device, and back, through pinned chunks: while one
/// travels, another is filled or emptied by several threads.
class Uploader {
 public:
  explicit Uploader(cudaStream_t stream) : stream_(stream) {}
  ~Uploader();
  Uploader(const Uploader&) = delete;
  Uploader& operator=(const Uploader&) = delete;

  /// `from` may change as soon as this returns; the copy is enqueued.
  Result<void> upload(const void* from, std::size_t bytes, void* to);
  /// Waits for the copy.
  Result<void> download(const void* from, std::size_t bytes, void* to);

 private:
  struct Chunk {
    std::unique_ptr<PinnedMemory> memory;
    cudaEvent_t done = nullptr;
    std::size_t used = 0;
  };
  Result<void> prepare();
  Result<void> next_chunk();
  void copy(const std::byte* from, std::size_t bytes, std::byte* to);

  cudaStream_t stream_;
  std::unique_ptr<ThreadPool> pool_;
  std::vector<Chunk> chunks_;
  std::size_t current_ = 0;
};

/// Memory that many weights share: slabs, each freed with the last weight in it.
class SlabAllocator {
 public:
  struct Piece {
    std::shared_ptr<DeviceMemory> slab;
    std::byte* data = nullptr;
  };
  Result<Piece> allocate(std::size_t bytes);

 private:
  std::shared_ptr<DeviceMemory> slab_;
  std::size_t used_ = 0;
};

/// Small arguments of a step (token ids, row numbers, adapters' rows) on their way to the device.
/// They last until the next sync().
class StepArguments {
 public:
  explicit StepArguments(cudaStream_t stream) : stream_(stream) {}

  /// Copies `bytes` bytes; null when memory is short.
  void* put(const void* from, std::size_t bytes);
  template <typename T>
  const T* put(std::span<const T> values) {
    return static_cast<const T*>(put(values.data(), values.size_bytes()));
  }
  /// To be called when the stream is idle.
  void reset() { used_ = 0; }

 private:
  cudaStream_t stream_;
  std::unique_ptr<PinnedMemory> host_;
  std::unique_ptr<DeviceMemory> device_;
  std::size_t used_ = 0;
};

}  // namespace bobby::cuda
