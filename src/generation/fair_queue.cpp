#include "generation/fair_queue.h"

#include <utility>

namespace bobby::detail {

void FairQueue::push(std::unique_ptr<Job> job) {
  const std::string& client = job->request.client;
  auto& queue = by_client_[client];
  if (queue.empty()) turns_.push_back(client);
  queue.push_back(std::move(job));
  ++size_;
}

const Job* FairQueue::front() const {
  return empty() ? nullptr : by_client_.at(turns_.front()).front().get();
}

std::unique_ptr<Job> FairQueue::pop() {
  const std::string client = std::move(turns_.front());
  turns_.pop_front();
  const auto queue = by_client_.find(client);
  std::unique_ptr<Job> job = std::move(queue->second.front());
  queue->second.pop_front();
  --size_;
  if (queue->second.empty())
    by_client_.erase(queue);
  else
    turns_.push_back(client);
  return job;
}

std::vector<std::unique_ptr<Job>> FairQueue::take_if(const std::function<bool(const Job&)>& gone) {
  std::vector<std::unique_ptr<Job>> taken;
  for (auto& [client, queue] : by_client_)
    for (auto& job : queue)
      if (gone(*job)) taken.push_back(std::move(job));
  if (taken.empty()) return taken;
  for (auto& [client, queue] : by_client_) std::erase(queue, nullptr);
  std::erase_if(turns_, [&](const std::string& client) { return by_client_.at(client).empty(); });
  std::erase_if(by_client_, [](const auto& entry) { return entry.second.empty(); });
  size_ -= taken.size();
  return taken;
}

std::vector<const Job*> FairQueue::in_order() const {
  std::vector<const Job*> order;
  for (std::size_t round = 0; order.size() < size_; ++round)
    for (const std::string& client : turns_)
      if (const auto& queue = by_client_.at(client); round < queue.size())
        order.push_back(queue[round].get());
  return order;
}

}  // namespace bobby::detail
