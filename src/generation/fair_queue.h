#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "generation/job.h"

namespace bobby::detail {

/// Jobs that wait: in turn by client, and each client's in the order they came.
class FairQueue {
 public:
  void push(std::unique_ptr<Job> job);
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  /// The job whose turn it is; null when there is none.
  const Job* front() const;
  std::unique_ptr<Job> pop();
  /// Takes out every job that `gone` holds for.
  std::vector<std::unique_ptr<Job>> take_if(const std::function<bool(const Job&)>& gone);
  /// Jobs in the order in which they would be popped.
  std::vector<const Job*> in_order() const;

 private:
  std::map<std::string, std::deque<std::unique_ptr<Job>>> by_client_;
  std::deque<std::string> turns_;  // clients with jobs, the next one first
  std::size_t size_ = 0;
};

}  // namespace bobby::detail
