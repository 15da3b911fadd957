#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bluesky/facets.h"
#include "bluesky/post_record.h"
#include "bot/filters.h"
#include "store/outbox.h"

namespace bobby::bot {

/// The card of a page; nothing: the post goes without one.
using CardOfPage = std::function<std::optional<bluesky::Card>(const std::string& url)>;

/// What every post of an account has.
struct PostStyle {
  std::vector<std::string> langs = {};  ///< BCP 47; at most three
  /// Empty: mentions that the filter lets stand stay plain text.
  bluesky::DidOfHandle did_of_handle = {};
  /// Asked for the first link of a post when its record is made; empty: no post has a card.
  CardOfPage card_of_page = {};
};

/// A draft's text as it would go out.
struct PostPreview {
  std::string text;            ///< as readers see it, with links shortened
  std::int64_t graphemes = 0;  ///< of that, as Bluesky counts them
  std::string filtered;        ///< the draft's text, without the names that were taken out
  std::vector<std::string> mentioned = {};  ///< whose names those were
};

/// Makes a draft's text into the record of a post: filtered, with links, tags and mentions marked,
/// every limit of the lexicon checked.
class PostMaker {
 public:
  PostMaker(Filter filter, PostStyle style)
      : filter_(std::move(filter)), style_(std::move(style)) {}

  /// The filter alone. kUsage: it refuses, and each rule is named.
  Result<void> check(std::string_view text) const;

  /// What a person should hear at approval already; asks nobody. kUsage: the filter refuses, and
  /// each rule is named; kLimit, kUsage: what the lexicon does not allow.
  Result<PostPreview> preview(std::string_view text) const;

  /// The record, as JSON. preview()'s errors; and those of asking who is mentioned: see
  /// may_pass().
  Result<std::string> record(std::string_view text, store::Moment created) const;

 private:
  Result<Filtered> filtered(std::string_view text) const;
  Result<std::string> record_of(const Filtered& filtered, store::Moment created,
                                const PostStyle& style) const;

  Filter filter_;
  PostStyle style_;
};

/// Whether what failed may succeed later, with the same text: it was the way to a server that did.
bool may_pass(const Error& error);

}  // namespace bobby::bot
