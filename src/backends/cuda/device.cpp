#include "backends/cuda/device.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <string>

#include "backends/cuda/launch.cuh"

namespace bobby::cuda {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kUploadChunk = std::size_t{16} << 20;
constexpr std::size_t kUploadChunks = 4;
constexpr std::size_t kDownloadPiece = std::size_t{2} << 20;
constexpr std::size_t kCopyBlock = std::size_t{1} << 18;  // what one thread copies at a time
constexpr int kMostCopyThreads = 8;
constexpr std::size_t kSlab = std::size_t{256} << 20;
constexpr std::size_t kStepArguments = std::size_t{1} << 20;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Result<void> check(cudaError_t code, std::string_view what) {
  if (code == cudaSuccess) return {};
  return fail({.code = ErrorCode::kInternal,
               .where = "CUDA",
               .problem = fmt::format("{}: {} ({})", what, cudaGetErrorString(code),
                                      cudaGetErrorName(code))});
}

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::make(std::size_t bytes) {
  void* data = nullptr;
  const std::size_t size = std::max<std::size_t>(bytes, 1);
  if (cudaMalloc(&data, size) != cudaSuccess) {
    cudaGetLastError();  // this one is reported here
    std::size_t left = 0, total = 0;
    cudaMemGetInfo(&left, &total);
    return fail({.code = ErrorCode::kLimit,
                 .where = "CUDA device",
                 .problem = "has not enough memory left",
                 .expected = fmt::format("{} bytes", bytes),
                 .found = fmt::format("{} of {}", left, total)});
  }
  return std::unique_ptr<DeviceMemory>(new DeviceMemory(data, bytes));
}

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::zeroed(std::size_t bytes, cudaStream_t stream) {
  BOBBY_TRY(auto memory, make(bytes));
  BOBBY_CHECK(check(cudaMemsetAsync(memory->data(), 0, bytes, stream), "clearing memory"));
  ++launches();  // what was here before is gone
  return memory;
}

DeviceMemory::~DeviceMemory() {
  cudaFree(data_);
}

Result<std::unique_ptr<PinnedMemory>> PinnedMemory::make(std::size_t bytes) {
  void* data = nullptr;
  BOBBY_CHECK(check(cudaMallocHost(&data, bytes), "page-locked memory"));
  return std::unique_ptr<PinnedMemory>(new PinnedMemory(static_cast<std::byte*>(data), bytes));
}

PinnedMemory::~PinnedMemory() {
  cudaFreeHost(data_);
}

Uploader::~Uploader() {
  for (Chunk& chunk : chunks_)
    if (chunk.done) cudaEventDestroy(chunk.done);
}

Result<void> Uploader::prepare() {
  if (!chunks_.empty()) return {};
  pool_ =
      std::make_unique<ThreadPool>(std::min(kMostCopyThreads, ThreadPool::available_processors()));
  for (std::size_t i = 0; i < kUploadChunks; ++i) {
    Chunk chunk;
    BOBBY_TRY(chunk.memory, PinnedMemory::make(kUploadChunk));
    BOBBY_CHECK(check(cudaEventCreateWithFlags(&chunk.done, cudaEventDisableTiming), "an event"));
    chunks_.push_back(std::move(chunk));
  }
  return {};
}

Result<void> Uploader::next_chunk() {
  BOBBY_CHECK(check(cudaEventRecord(chunks_[current_].done, stream_), "an upload"));
  current_ = (current_ + 1) % chunks_.size();
  Chunk& chunk = chunks_[current_];
  chunk.used = 0;
  return check(cudaEventSynchronize(chunk.done), "an upload");
}

Result<void> Uploader::upload(const void* from, std::size_t bytes, void* to) {
  BOBBY_CHECK(prepare());
  const auto* source = static_cast<const std::byte*>(from);
  for (std::size_t done = 0; done < bytes;) {
    if (chunks_[current_].used == kUploadChunk) BOBBY_CHECK(next_chunk());
    Chunk& chunk = chunks_[current_];
    const std::size_t count = std::min(bytes - done, kUploadChunk - chunk.used);
    std::byte* pinned = chunk.memory->data() + chunk.used;
    copy(source + done, count, pinned);
    BOBBY_CHECK(check(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, pinned, count,
                                      cudaMemcpyHostToDevice, stream_),
                      "an upload"));
    chunk.used += count;
    done += count;
  }
  return {};
}

/// By several threads.
void Uploader::copy(const std::byte* from, std::size_t bytes, std::byte* to) {
  pool_->parallel_for(static_cast<std::int64_t>(bytes), static_cast<std::int64_t>(kCopyBlock),
                      [&](std::int64_t begin, std::int64_t end, int) {
                        std::memcpy(to + begin, from + begin,
                                    static_cast<std::size_t>(end - begin));
                      });
}

Result<void> Uploader::download(const void* from, std::size_t bytes, void* to) {
  BOBBY_CHECK(prepare());
  const auto* source = static_cast<const std::byte*>(from);
  const std::size_t pieces = (bytes + kDownloadPiece - 1) / kDownloadPiece;
  // What is still to be uploaded from the chunks goes first: it was enqueued before.
  for (std::size_t i = 0; i < pieces + kUploadChunks; ++i) {
    Chunk& chunk = chunks_[i % kUploadChunks];
    if (i >= kUploadChunks && i - kUploadChunks < pieces) {
      const std::size_t begin = (i - kUploadChunks) * kDownloadPiece;
      BOBBY_CHECK(check(cudaEventSynchronize(chunk.done), "a download"));
      copy(chunk.memory->data(), std::min(kDownloadPiece, bytes - begin),
           static_cast<std::byte*>(to) + begin);
    }
    if (i >= pieces) continue;
    const std::size_t begin = i * kDownloadPiece;
    BOBBY_CHECK(check(
        cudaMemcpyAsync(chunk.memory->data(), source + begin,
                        std::min(kDownloadPiece, bytes - begin), cudaMemcpyDeviceToHost, stream_),
        "a download"));
    BOBBY_CHECK(check(cudaEventRecord(chunk.done, stream_), "a download"));
  }
  return {};
}

Result<SlabAllocator::Piece> SlabAllocator::allocate(std::size_t bytes) {
  const std::size_t size = aligned(bytes);
  if (size >= kSlab / 4) {
    BOBBY_TRY(std::shared_ptr<DeviceMemory> own, DeviceMemory::make(size));
    auto* data = static_cast<std::byte*>(own->data());
    return Piece{std::move(own), data};
  }
  if (!slab_ || used_ + size > slab_->size()) {
    slab_.reset();
    BOBBY_TRY(slab_, DeviceMemory::make(kSlab));
    used_ = 0;
  }
  Piece piece{slab_, static_cast<std::byte*>(slab_->data()) + used_};
  used_ += size;
  return piece;
}

void* StepArguments::put(const void* from, std::size_t bytes) {
  const std::size_t size = aligned(std::max<std::size_t>(bytes, 1));
  if (!host_ || used_ + size > host_->size()) {
    cudaStreamSynchronize(stream_);  // then nobody reads what was put before
    used_ = 0;
    if (!host_ || size > host_->size()) {
      const std::size_t room = std::max(size, kStepArguments);
      host_.reset();
      device_.reset();
      auto host = PinnedMemory::make(room);
      auto device = DeviceMemory::make(room);
      if (!host || !device) return nullptr;
      host_ = *std::move(host);
      device_ = *std::move(device);
    }
  }
  std::memcpy(host_->data() + used_, from, bytes);
  void* to = static_cast<std::byte*>(device_->data()) + used_;
  cudaMemcpyAsync(to, host_->data() + used_, bytes, cudaMemcpyHostToDevice, stream_);
  used_ += size;
  return to;
}

}  // namespace bobby::cuda
