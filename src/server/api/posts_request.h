#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "posts/post_request.h"
#include "server/api/adapter_directory.h"
#include "server/api/openai_request.h"

namespace bobby::server {

/// The body of POST /v1/posts; what is unset is the server's own.
struct PostsBody {
  std::optional<std::string> prompt;
  std::optional<std::int64_t> count;
  std::optional<std::int64_t> max_tokens;
  SamplingFields sampling;
  std::optional<std::uint64_t> seed;
  std::optional<std::string> system;
  std::optional<std::int64_t> char_limit;
  std::optional<std::int64_t> min_chars;
  std::optional<std::int64_t> retries;
  std::optional<bool> keep_emojis;
  std::optional<bool> keep_hashtags;
  std::optional<bool> hard_limit;
  std::optional<bool> raw;
  std::optional<std::vector<AdapterChoice>> adapters;  ///< empty: the base
  bool stream = false;
};

inline constexpr std::int64_t kMostPosts = 10;

/// Errors name the field.
Result<PostsBody> parse_posts_body(std::string_view body);
std::span<const std::string_view> posts_fields();

/// `base` with what the body and the voice say. Adapters, client and deadline are not set.
PostRequest make_post_request(const PostsBody& body, const Voice& voice, PostRequest base);

}  // namespace bobby::server
