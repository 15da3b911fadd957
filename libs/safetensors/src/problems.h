#pragma once

#include <cstddef>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "safetensors/error.h"

namespace safetensors {

/// Collects what is wrong with one file. A header may hold millions of bad tensors: only the first
/// 100 problems are kept, the rest is counted.
class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}

  /// Takes `error` as a problem of the file.
  void add(Error error);
  bool empty() const { return errors_.empty(); }
  /// The list, with a last entry for those not kept. Leaves this empty.
  std::vector<Error> take();
  /// The list as one Error. Precondition: not empty().
  Error join();

 private:
  std::string file_;
  std::vector<Error> errors_;
  std::size_t dropped_ = 0;
};

/// `errors` (not empty) as one Error: the first, with the others in `also`.
Error join(std::vector<Error> errors);

/// The inverse of join().
std::vector<Error> split(Error error);

/// Runs `work`, which returns a Result; memory that runs out becomes an Error of `file`.
template <typename Work>
auto guard(const std::string& file, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return fail({.code = ErrorCode::kOutOfMemory, .file = file, .problem = "out of memory"});
  }
}

}  // namespace safetensors
