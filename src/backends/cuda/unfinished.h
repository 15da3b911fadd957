#pragma once

#include <functional>
#include <memory>
#include <utility>

namespace bobby::cuda {

/// What a backend has taken note of and not yet done.
struct Unfinished {
  std::function<void()> finish;
};

/// The last member of everything that a noted operation may refer to: when that thing goes, what
/// was noted is done first, while the rest of it is still there.
class FinishFirst {
 public:
  explicit FinishFirst(std::shared_ptr<Unfinished> unfinished)
      : unfinished_(std::move(unfinished)) {}
  ~FinishFirst() {
    if (unfinished_ && unfinished_->finish) unfinished_->finish();
  }
  FinishFirst(FinishFirst&&) = default;
  FinishFirst& operator=(FinishFirst&&) = delete;

 private:
  std::shared_ptr<Unfinished> unfinished_;
};

}  // namespace bobby::cuda
