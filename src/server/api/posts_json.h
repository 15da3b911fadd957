#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "posts/post_request.h"
#include "server/api/errors.h"

namespace bobby::server {

/// A post with its number in the request.
Json numbered_json(const Post& post);
Json rejected_json(const RejectedTry& rejected);

/// The whole answer of POST /v1/posts for `count` posts.
Json posts_answer_json(const PostBatch& batch, std::uint32_t count);

/// What a stream has told of its posts, so that each round's news are told once.
class PostsTold {
 public:
  /// Events for what `batch` has beyond what was told. A post that had to give way, because one
  /// with a lower number now has its text, is told as rejected.
  std::vector<Json> news(const PostBatch& batch);

 private:
  std::map<std::uint32_t, int> posts_;                ///< tries of the post told, by index
  std::set<std::pair<std::uint32_t, int>> rejected_;  ///< index and attempt
};

Json start_event(std::uint64_t seed, std::uint32_t count, std::int64_t char_limit);
Json progress_event(std::string_view phase, std::uint64_t done, std::uint64_t total);
Json text_event(std::uint32_t index, int attempt, std::string_view text);
Json error_event(const Error& error);
Json done_event(const PostBatch& batch, std::uint32_t count);

}  // namespace bobby::server
