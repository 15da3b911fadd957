#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "generation/loaded_model.h"
#include "generation/request.h"
#include "posts/post_request.h"
#include "voice/post_rules.h"

namespace bobby {

/// One request's posts in the making: which tries there are, which of them stand, and which are
/// still to be made. For callers that run the tries themselves: next(), run it, take(), again.
class PostJob {
 public:
  /// kUsage: a bad count, prompt or setting.
  static Result<std::unique_ptr<PostJob>> make(PostRequest request,
                                               std::shared_ptr<LoadedModel> loaded);
  PostJob(const PostJob&) = delete;
  PostJob& operator=(const PostJob&) = delete;

  /// One more try for each post that needs one, together; none when every post is settled, or the
  /// request was cancelled. Its callbacks use this job, which must stay until take().
  std::optional<GenerationRequest> next();
  /// What became of it. An Error other than a cancellation ends the job, and is returned.
  Result<void> take(Result<std::vector<Completion>> completions);
  /// What there is so far.
  PostBatch result() const;
  std::uint64_t seed() const { return seed_; }

 private:
  /// A try of one post, cleaned.
  struct Candidate {
    Completion completion;
    CleanPost clean;
  };
  struct Slot {
    std::vector<Candidate> tries;
    std::optional<std::size_t> accepted;
  };

  PostJob(PostRequest request, std::shared_ptr<LoadedModel> loaded, std::string prompt);
  void settle();
  std::optional<Rejection> rejection(const Candidate& candidate,
                                     const std::set<std::string_view>& taken) const;
  std::size_t attempt_of(std::uint32_t index) const { return slots_[index].tries.size(); }
  bool long_enough(std::string_view text) const;
  std::int64_t room(std::string_view text) const;
  LogitsRule finish_rule();
  Post post(std::uint32_t index) const;

  PostRequest request_;
  std::shared_ptr<LoadedModel> loaded_;
  std::string prompt_;
  std::uint64_t seed_;
  std::size_t most_tries_;
  PostRules rules_;
  std::vector<std::int32_t> ends_;  // tokens that end an answer
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> open_;  // posts that need another try
  bool cancelled_ = false;
};

}  // namespace bobby
