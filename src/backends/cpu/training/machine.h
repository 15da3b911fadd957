#pragma once

// What the operations of training work with: matrices in host memory, the kernels, the threads and
// memory of their own. In float to train, in double for finite differences.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "backends/backend.h"
#include "backends/cpu/training/kernels.h"
#include "base/thread_pool.h"

namespace bobby::cpu {

/// [rows, cols], row-major and contiguous. Not owned.
template <typename T>
struct Matrix {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  T* row(std::int64_t index) const { return data + index * cols; }
};

inline Matrix<float> matrix_of(const Activation& activation) {
  return {activation.data, activation.rows, activation.cols};
}

/// Memory that grows and is kept: 64-byte aligned, not zeroed.
template <typename T>
class ScratchMemory {
 public:
  /// At least `count` numbers; what was there before is lost when it grows.
  T* get(std::int64_t count) {
    const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(count, 1));
    if (wanted > size_) {
      memory_.reset();
      memory_.reset(static_cast<T*>(::operator new(wanted * sizeof(T), kAlignment)));
      size_ = wanted;
    }
    return memory_.get();
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(T* memory) const { ::operator delete(memory, kAlignment); }
  };
  std::unique_ptr<T, Free> memory_;
  std::size_t size_ = 0;
};

template <typename T>
class TrainingMachine {
 public:
  TrainingMachine(const TrainingKernels<T>& table, ThreadPool& threads)
      : kernels(table), pool(threads), by_thread_(static_cast<std::size_t>(threads.threads())) {}

  /// What an operation keeps while others that it calls run.
  enum class Use : std::uint8_t {
    kPacked,
    kDropped,
    kLowGradient,
    kLogits,
    kRows,
    kAngles,
    kCount
  };

  /// A thread's own memory, for the time of one piece of work.
  T* thread_memory(int thread, std::int64_t count) {
    return by_thread_[static_cast<std::size_t>(thread)].get(count);
  }
  T* memory(Use use, std::int64_t count) {
    return by_use_[static_cast<std::size_t>(use)].get(count);
  }

  /// Calls run(row) for every one of `rows` rows of `cols` numbers, blocks of rows at a time.
  template <typename F>
  void for_each_row(std::int64_t rows, std::int64_t cols, const F& run) {
    constexpr std::int64_t kElements = 8192;  // a few microseconds of work
    const std::int64_t block =
        std::max<std::int64_t>(kElements / std::max<std::int64_t>(cols, 1), 1);
    pool.parallel_for(rows, block, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) run(row);
    });
  }

  const TrainingKernels<T>& kernels;
  ThreadPool& pool;

 private:
  std::vector<ScratchMemory<T>> by_thread_;
  std::array<ScratchMemory<T>, static_cast<std::size_t>(Use::kCount)> by_use_;
};

}  // namespace bobby::cpu
