#include "problems.h"

#include <iterator>

namespace safetensors {
namespace {

constexpr std::size_t kKept = 100;

}  // namespace

void Problems::add(Error error) {
  if (errors_.size() == kKept) {
    ++dropped_;
    return;
  }
  error.file = file_;
  errors_.push_back(std::move(error));
}

std::vector<Error> Problems::take() {
  if (dropped_ > 0) {
    errors_.push_back({.code = errors_.back().code,
                       .file = file_,
                       .problem = "and " + std::to_string(dropped_) + " more problems"});
    dropped_ = 0;
  }
  return std::exchange(errors_, {});
}

Error Problems::join() {
  return safetensors::join(take());
}

Error join(std::vector<Error> errors) {
  Error first = std::move(errors.front());
  first.also.assign(std::make_move_iterator(errors.begin() + 1),
                    std::make_move_iterator(errors.end()));
  return first;
}

std::vector<Error> split(Error error) {
  std::vector<Error> errors = std::exchange(error.also, {});
  errors.insert(errors.begin(), std::move(error));
  return errors;
}

}  // namespace safetensors
