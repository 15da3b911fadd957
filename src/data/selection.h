#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace bobby::data {

/// A post that is trained on.
struct ChosenPost {
  std::uint32_t post = 0;   // its number among all that were read
  std::uint32_t group = 0;  // posts of one group say the same
  std::uint64_t hash = 0;   // of its text
  double weight = 1;        // of its source
};

/// A line of a dataset file.
struct Record {
  std::uint32_t chosen = 0;  // index of the ChosenPost
  std::uint32_t copy = 0;    // 0 for the first of a post
};

/// Which records stand in which file, in which order.
struct Selection {
  std::vector<Record> train;
  std::vector<Record> valid;
};

/// How posts are divided.
struct SelectionOptions {
  double valid = 0.1;  ///< below 1 the share of posts kept for validation, else their number
  std::uint64_t seed = 0;
};

/// Divides posts into files, groups as wholes, so that nothing of the one file is said again in the
/// other. A training post stands there `weight` times: a fraction is a chance. A post of validation
/// stands there once. The order is drawn. At least one post is left to train on, and, where `valid`
/// is not 0 and there are two groups, one to validate with.
Selection select_records(std::span<const ChosenPost> posts, const SelectionOptions& options);

}  // namespace bobby::data
