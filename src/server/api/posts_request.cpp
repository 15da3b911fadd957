#include "server/api/posts_request.h"

#include <array>

#include "server/api/json_fields.h"
#include "server/api/openai_plan.h"

namespace bobby::server {
namespace {

constexpr std::array<std::string_view, 18> kFields = {
    "prompt",      "count",         "max_tokens", "temperature", "top_p",     "top_k",
    "min_p",       "seed",          "system",     "char_limit",  "min_chars", "retries",
    "keep_emojis", "keep_hashtags", "hard_limit", "raw",         "adapters",  "stream"};

constexpr std::int64_t kMostGraphemes = 1000000;
constexpr std::int64_t kMostTries = 100;

}  // namespace

std::span<const std::string_view> posts_fields() {
  return kFields;
}

Result<PostsBody> parse_posts_body(std::string_view text) {
  BOBBY_TRY(const nlohmann::json object, parse_body(text));
  PostsBody body;
  Fields fields(object, kFields);
  body.prompt = fields.text("prompt");
  body.count = fields.integer("count", 1, kMostPosts);
  body.max_tokens = fields.integer("max_tokens", 1, kMostTokens);
  body.sampling.temperature = fields.number("temperature", 0, 10);
  body.sampling.top_p = fields.number("top_p", 0, 1);
  body.sampling.top_k = fields.integer("top_k", 0, kMostTokens);
  body.sampling.min_p = fields.number("min_p", 0, 1);
  if (const auto seed = fields.integer("seed", 0, kMostExact))
    body.seed = static_cast<std::uint64_t>(*seed);
  body.system = fields.text("system");
  body.char_limit = fields.integer("char_limit", 0, kMostGraphemes);
  body.min_chars = fields.integer("min_chars", 0, kMostGraphemes);
  body.retries = fields.integer("retries", 0, kMostTries);
  body.keep_emojis = fields.boolean("keep_emojis");
  body.keep_hashtags = fields.boolean("keep_hashtags");
  body.hard_limit = fields.boolean("hard_limit");
  body.raw = fields.boolean("raw");
  if (fields.find("adapters") != nullptr) body.adapters = read_adapters(fields, "adapters");
  body.stream = fields.boolean("stream").value_or(false);
  if (body.prompt && body.prompt->empty()) fields.report("prompt", "is empty", "some text");
  BOBBY_CHECK(fields.check());
  return body;
}

PostRequest make_post_request(const PostsBody& body, const Voice& voice, PostRequest request) {
  request.form = voice.form;
  request.rules = voice.rules;
  if (body.prompt) request.prompt = *body.prompt;
  if (body.count) request.count = static_cast<std::uint32_t>(*body.count);
  if (body.max_tokens) request.max_tokens = *body.max_tokens;
  request.sampling = merged(body.sampling, request.sampling);
  request.seed = body.seed.value_or(request.seed.value_or(draw_seed()));
  if (body.system) request.system = body.system;
  if (body.char_limit) {
    request.rules.char_limit = *body.char_limit;
    // A limit below the server's own fewest characters asks for short posts.
    if (!body.min_chars && *body.char_limit > 0 && *body.char_limit < request.rules.min_chars)
      request.rules.min_chars = 0;
  }
  if (body.min_chars) request.rules.min_chars = *body.min_chars;
  if (body.retries) request.retries = static_cast<int>(*body.retries);
  if (body.keep_emojis) request.rules.remove_emojis = !*body.keep_emojis;
  if (body.keep_hashtags) request.rules.remove_hashtags = !*body.keep_hashtags;
  if (body.hard_limit) request.finish_sentences = !*body.hard_limit;
  if (body.raw) request.raw = *body.raw;
  return request;
}

}  // namespace bobby::server
