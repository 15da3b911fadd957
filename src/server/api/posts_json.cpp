#include "server/api/posts_json.h"

#include "posts/post_json.h"

namespace bobby::server {
namespace {

std::int64_t missing(const PostBatch& batch, std::uint32_t count) {
  return static_cast<std::int64_t>(count) - std::ssize(batch.posts);
}

}  // namespace

Json numbered_json(const Post& post) {
  Json json = {{"index", post.index}};
  json.update(post_json(post));
  return json;
}

Json rejected_json(const RejectedTry& rejected) {
  return {{"index", rejected.index},
          {"attempt", rejected.attempt},
          {"reason", rejection_name(rejected.reason)},
          {"text", rejected.text}};
}

Json posts_answer_json(const PostBatch& batch, std::uint32_t count) {
  Json posts = Json::array();
  for (const Post& post : batch.posts) posts.push_back(numbered_json(post));
  Json rejected = Json::array();
  for (const RejectedTry& each : batch.rejected) rejected.push_back(rejected_json(each));
  return {{"object", "list"},
          {"seed", batch.seed},
          {"posts", std::move(posts)},
          {"rejected", std::move(rejected)},
          {"missing", missing(batch, count)}};
}

std::vector<Json> PostsTold::news(const PostBatch& batch) {
  std::vector<Json> events;
  for (const RejectedTry& rejected : batch.rejected) {
    if (!rejected_.insert({rejected.index, rejected.attempt}).second) continue;
    Json event = {{"type", "rejected"}};
    event.update(rejected_json(rejected));
    events.push_back(std::move(event));
  }
  for (const Post& post : batch.posts) {
    const auto told = posts_.find(post.index);
    if (told != posts_.end() && told->second == post.tries) continue;
    posts_[post.index] = post.tries;
    events.push_back({{"type", "post"}, {"post", numbered_json(post)}});
  }
  return events;
}

Json start_event(std::uint64_t seed, std::uint32_t count, std::int64_t char_limit) {
  return {{"type", "start"}, {"seed", seed}, {"count", count}, {"char_limit", char_limit}};
}

Json progress_event(std::string_view phase, std::uint64_t done, std::uint64_t total) {
  return {{"type", "progress"}, {"phase", phase}, {"done", done}, {"total", total}};
}

Json text_event(std::uint32_t index, int attempt, std::string_view text) {
  return {{"type", "text"}, {"index", index}, {"attempt", attempt}, {"text", text}};
}

Json error_event(const Error& error) {
  Json event = {{"type", "error"}};
  event.update(error_json(error));
  return event;
}

Json done_event(const PostBatch& batch, std::uint32_t count) {
  return {{"type", "done"},
          {"seed", batch.seed},
          {"posts", batch.posts.size()},
          {"missing", missing(batch, count)}};
}

}  // namespace bobby::server
