#include "generation/request.h"

#include <numeric>

namespace bobby {

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kLengthLimit: return "length_limit";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "stop";
}

std::vector<std::uint32_t> first_samples(std::uint32_t count) {
  std::vector<std::uint32_t> samples(count);
  std::iota(samples.begin(), samples.end(), 0u);
  return samples;
}

}  // namespace bobby
