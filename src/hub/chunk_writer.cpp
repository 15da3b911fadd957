#include "hub/chunk_writer.h"

#include <exception>
#include <utility>

namespace bobby {
namespace {

constexpr std::size_t kChunks = 3;  // one is filled, one is written, one lies between

}  // namespace

ChunkWriter::ChunkWriter(ShardStore& store) : store_(store) {
  for (std::size_t i = 0; i < kChunks; ++i) free_.push_back(std::make_unique<QuantizedChunk>());
  thread_ = std::thread([this] { run(); });
}

ChunkWriter::~ChunkWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<std::unique_ptr<QuantizedChunk>> ChunkWriter::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !free_.empty() || !result_; });
  if (!result_) return fail(result_.error());
  std::unique_ptr<QuantizedChunk> chunk = std::move(free_.back());
  free_.pop_back();
  return chunk;
}

void ChunkWriter::give(std::unique_ptr<QuantizedChunk> chunk) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(chunk));
  }
  changed_.notify_all();
}

Result<void> ChunkWriter::finish() {
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  changed_.notify_all();
  thread_.join();
  return result_;
}

void ChunkWriter::run() {
  for (;;) {
    std::unique_ptr<QuantizedChunk> chunk;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopped_ || finishing_ || !waiting_.empty(); });
      if (stopped_ || waiting_.empty()) return;
      chunk = std::move(waiting_.front());
      waiting_.erase(waiting_.begin());
    }
    Result<void> written;
    try {
      written = write(*chunk);
    } catch (const std::exception& error) {
      written = fail({.code = ErrorCode::kLimit, .where = "writing", .problem = error.what()});
    }
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(std::move(chunk));
      if (!written) {
        result_ = std::move(written);
        stopped_ = true;
      }
    }
    changed_.notify_all();
  }
}

Result<void> ChunkWriter::write(QuantizedChunk& chunk) {
  const QuantizeJob& job = *chunk.job;
  BOBBY_CHECK(store_.append(job.out[0].name, chunk.weight));
  if (job.format) {
    BOBBY_CHECK(store_.append(job.out[1].name, chunk.scales));
    BOBBY_CHECK(store_.append(job.out[2].name, chunk.biases));
  }
  if (!chunk.shard_note) return {};
  return store_.finish_shard(*std::exchange(chunk.shard_note, std::nullopt));
}

}  // namespace bobby
