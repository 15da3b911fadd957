#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace bobby::cpu {

/// Memory that only grows, 64-byte aligned, not preserved when it does.
template <typename T>
class Scratch {
 public:
  T* reserve(std::size_t count) {
    if (count > capacity_) {
      data_.reset(static_cast<T*>(::operator new (count * sizeof(T), std::align_val_t{64})));
      capacity_ = count;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* data) const { ::operator delete (data, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t capacity_ = 0;
};

}  // namespace bobby::cpu
