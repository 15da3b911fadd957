#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "safetensors/reader.h"

namespace bobby {

/// Parts of mapped files, used one after the other: a thread has the system read those to come, and
/// those that were used are dropped from its cache, so that a file of any size costs a few parts'
/// memory. Hints alone: the bytes are the mapping's, there or not.
class PageStream {
 public:
  struct Part {
    const safetensors::File* file = nullptr;  ///< must outlive the stream
    std::span<const std::byte> bytes;         ///< of one of its tensors
  };

  /// `parts` in the order of their use; at most `ahead` are read before they are asked for.
  PageStream(std::vector<Part> parts, std::size_t ahead);
  PageStream(const PageStream&) = delete;
  PageStream& operator=(const PageStream&) = delete;
  ~PageStream();

  /// Waits until part `index` is in memory.
  void wait_for(std::size_t index);
  /// Part `index`, and all before it, will not be used again.
  void drop(std::size_t index);

 private:
  void read_ahead();

  std::vector<Part> parts_;
  std::size_t ahead_;
  std::map<const safetensors::File*, int> descriptors_;  // open files, for their caches
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t read_ = 0;     // parts that are in memory, from the first
  std::size_t dropped_ = 0;  // parts that were used
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace bobby
