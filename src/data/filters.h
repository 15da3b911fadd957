#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/post.h"

namespace bobby::data {

/// What becomes of web addresses in posts.
enum class LinkRule : std::uint8_t {
  kDrop,  ///< they are taken out: a model that learnt some makes up others
  kKeep,
  kSkip,  ///< posts that hold one are left out
};

/// Which posts are trained on.
struct FilterOptions {
  std::int64_t min_chars = 20;  ///< graphemes
  std::int64_t max_chars = 0;   ///< 0: any number
  bool replies = false;         ///< answers stand in a conversation that the model does not see
  bool quotes = false;          ///< so do words about a post that is shown below them
  LinkRule links = LinkRule::kDrop;
  /// BCP 47: "en" is "en-GB" too. Empty: all. A post whose source names no language passes.
  std::vector<std::string> languages = {};
};

/// Tidies posts and chooses among them, each by itself.
class PostFilter {
 public:
  explicit PostFilter(FilterOptions options);

  /// The reason why `post` is left out; nullopt: its text and prompt are now as they are trained
  /// on, and `dropped_links` says how many went. Precondition: UTF-8.
  std::optional<std::string> apply(SourcePost& post, std::uint64_t& dropped_links) const;

 private:
  bool speaks(const std::string& language) const;

  FilterOptions options_;
};

}  // namespace bobby::data
