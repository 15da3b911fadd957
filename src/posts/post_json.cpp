#include "posts/post_json.h"

namespace bobby {

nlohmann::ordered_json post_json(const Post& post) {
  return {{"text", post.text},
          {"graphemes", post.graphemes},
          {"tokens", post.tokens},
          {"seed", post.seed},
          {"finish_reason", finish_reason_name(post.finish_reason)},
          {"tries", post.tries},
          {"mean_logprob", post.mean_logprob},
          {"prefill_ms", post.prefill_ms},
          {"decode_tok_s", post.decode_tok_s}};
}

}  // namespace bobby
