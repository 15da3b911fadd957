#include <bobby/generator.h>
#include <nlohmann/json.hpp>

namespace bobby::v1 {
namespace {

nlohmann::ordered_json post_json(const Post& post) {
  return {{"index", post.index},
          {"text", post.text},
          {"graphemes", post.graphemes},
          {"tokens", post.tokens},
          {"seed", post.seed},
          {"finish_reason", post.finish_reason},
          {"tries", post.tries},
          {"mean_logprob", post.mean_logprob},
          {"prefill_ms", post.prefill_ms},
          {"decode_tok_s", post.decode_tok_s}};
}

}  // namespace

std::string to_json(const PostBatch& batch) {
  nlohmann::ordered_json posts = nlohmann::ordered_json::array();
  for (const Post& post : batch.posts) posts.push_back(post_json(post));
  nlohmann::ordered_json rejected = nlohmann::ordered_json::array();
  for (const RejectedTry& one : batch.rejected)
    rejected.push_back({{"index", one.index},
                        {"attempt", one.attempt},
                        {"reason", one.reason},
                        {"text", one.text}});
  const nlohmann::ordered_json object = {
      {"object", "list"},     {"seed", batch.seed},       {"posts", posts},
      {"rejected", rejected}, {"missing", batch.missing}, {"cancelled", batch.cancelled}};
  // A raw text may hold what is not UTF-8.
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace bobby::v1
