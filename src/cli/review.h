#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bot/approval.h"
#include "bot/novelty.h"
#include "store/draft_store.h"
#include "store/outbox.h"

namespace bobby::cli {

/// What a review needs of a person and his terminal. Nothing: there is no more input.
struct ReviewDesk {
  std::function<void(const std::string& line)> say;
  /// One of a, e, r, s, q.
  std::function<std::optional<char>()> choose;
  /// A line of text.
  std::function<std::optional<std::string>(const std::string& question)> ask;
  /// The text as it was edited; nothing: it was left as it is. An error says why there is no
  /// editor.
  std::function<Result<std::optional<std::string>>(const std::string& text)> edit;
};

struct ReviewCounts {
  int approved = 0;
  int rejected = 0;
  int edited = 0;
  int skipped = 0;
};

/// Shows drafts one at a time and does what is decided about each. Everything that it is given must
/// outlive it.
class Review {
 public:
  struct Parts {
    store::DraftStore& drafts;
    store::Outbox& outbox;
    bot::Approver& approver;
    const bot::PostMaker& maker;
    const bot::NoveltyIndex& past;
    const ReviewDesk& desk;
    std::function<store::Moment()> now;
  };
  explicit Review(Parts parts) : parts_(std::move(parts)) {}

  /// The store's errors; what cannot be done with a draft is said, and asked anew.
  Result<ReviewCounts> run(std::vector<store::Draft> drafts);

 private:
  enum class Next { kSame, kNextOne, kEnd };

  void show(const store::Draft& draft, std::size_t number, std::size_t of) const;
  Result<Next> decide(store::Draft& draft, char key);
  Result<Next> approve(const store::Draft& draft);
  Result<Next> reject(const store::Draft& draft);
  Result<Next> edit(store::Draft& draft);

  Parts parts_;
  ReviewCounts counts_;
};

}  // namespace bobby::cli
