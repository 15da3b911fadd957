#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bobby {

/// Ends a text at the first of several strings, given piece by piece: what may be the beginning of
/// one is held back until the next piece decides, so that no part of a stop is ever shown.
class StopStrings {
 public:
  /// Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  /// What `piece` makes certain to belong to the text; may be empty. Nothing more comes once
  /// stopped().
  std::string push(std::string_view piece);
  /// What was held back, when the text ends without a stop.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace bobby
