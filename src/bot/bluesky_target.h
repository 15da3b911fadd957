#pragma once

#include <string_view>

#include "bluesky/repository.h"
#include "bot/post_target.h"

namespace bobby::bot {

/// The posts of a Bluesky account.
class BlueskyTarget final : public PostTarget {
 public:
  /// Must outlive this.
  explicit BlueskyTarget(bluesky::Repository& repository) : repository_(repository) {}

  CreateAnswer create(std::string_view record_key, std::string_view record) override;
  FindAnswer find(std::string_view record_key) override;
  bool same(std::string_view a, std::string_view b) const override;

 private:
  bluesky::Repository& repository_;
};

}  // namespace bobby::bot
