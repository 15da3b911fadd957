#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bot/novelty.h"
#include "bot/post_maker.h"
#include "posts/post_request.h"

namespace bobby::bot {

struct DraftWish {
  std::uint32_t count = 1;
  std::uint32_t candidates = 4;  ///< texts that are written for each draft
};

/// A text that was written for a draft.
struct Candidate {
  Post post;                   ///< as it was written
  std::string text;            ///< as it would go out; of one that is refused, as it was written
  std::int64_t graphemes = 0;  ///< of `text`
  NoveltyReport novelty = {};
  double score = 0;          ///< see score_of()
  std::string why_not = {};  ///< one clause; empty: it was kept
};

/// How good a candidate is: the mean log-probability of its tokens, which says how well it fits the
/// voice, less what it owes to other texts: twice its similarity to the nearest, and a tenth for
/// each word in a row, beyond the first four, that another text has too.
double score_of(const Candidate& candidate);

struct WrittenDrafts {
  std::vector<Candidate> kept =
      {};  ///< the best first; fewer than wished for where too few will do
  std::vector<Candidate> others = {};  ///< the best first
  std::uint64_t seed = 0;
  bool cancelled = false;
};

/// Writes several texts for each draft and keeps the best of those that are new and may be said.
class DraftWriter {
 public:
  using Write = std::function<Result<PostBatch>(const PostRequest& request)>;

  /// `maker` and `past` must outlive this. What is kept is added to `past`.
  DraftWriter(Write write, const PostMaker& maker, NoveltyIndex& past)
      : write_(std::move(write)), maker_(&maker), past_(&past) {}

  /// `request.count` is set here. kUsage: more texts than a request may have; the writer's errors.
  Result<WrittenDrafts> write(PostRequest request, const DraftWish& wish);

 private:
  Candidate judge(const Post& post) const;

  Write write_;
  const PostMaker* maker_;
  NoveltyIndex* past_;
};

}  // namespace bobby::bot
