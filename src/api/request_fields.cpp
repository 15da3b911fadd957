#include "api/request_fields.h"

#include <utility>

#include "app/post_setup.h"

namespace bobby::api {
namespace {

void set_post_fields(FieldSettings& fields, const v1::GenerateOptions& options) {
  fields.set(Opt::kPrompt, options.prompt);
  // The settings have no empty text, which here stands for no system message.
  if (options.system && !options.system->empty()) fields.set(Opt::kSystem, *options.system);
  fields.set_integer(Opt::kCount, options.count);
  fields.set_flag(Opt::kRaw, options.raw);
  if (options.char_limit) fields.set_integer(Opt::kCharLimit, *options.char_limit);
  if (options.min_chars) fields.set_integer(Opt::kMinChars, *options.min_chars);
  if (options.keep_emojis) fields.set_flag(Opt::kKeepEmojis, *options.keep_emojis);
  if (options.keep_hashtags) fields.set_flag(Opt::kKeepHashtags, *options.keep_hashtags);
  fields.set_flag(Opt::kHardLimit, options.hard_limit);
  fields.set_integer(Opt::kRetries, options.retries);
}

v1::Post to_public(Post post) {
  return {.index = post.index,
          .text = std::move(post.text),
          .graphemes = post.graphemes,
          .tokens = post.tokens,
          .seed = post.seed,
          .finish_reason = std::string(finish_reason_name(post.finish_reason)),
          .tries = post.tries,
          .mean_logprob = post.mean_logprob,
          .prefill_ms = post.prefill_ms,
          .decode_tok_s = post.decode_tok_s};
}

}  // namespace

Result<PostRequest> make_request(const v1::GenerateOptions& options, const VoiceSetup& voice) {
  FieldSettings fields;
  set_sampling(fields, options);
  set_post_fields(fields, options);
  BOBBY_TRY(const Settings settings, fields.resolve());
  VoiceSetup asked = voice;
  apply_settings(settings, asked.rules);
  PostRequest request = post_request(settings, asked);
  if (options.system) request.system = options.system;
  return request;
}

v1::PostBatch to_public(PostBatch batch, std::int64_t count) {
  v1::PostBatch result;
  result.seed = batch.seed;
  result.cancelled = batch.cancelled;
  for (Post& post : batch.posts) result.posts.push_back(to_public(std::move(post)));
  for (RejectedTry& rejected : batch.rejected)
    result.rejected.push_back({.index = rejected.index,
                               .attempt = rejected.attempt,
                               .reason = std::string(rejection_name(rejected.reason)),
                               .text = std::move(rejected.text)});
  result.missing = count - std::ssize(result.posts);
  return result;
}

ProgressFn to_inner(const v1::ProgressFn& progress) {
  if (!progress) return {};
  return [&progress](const Progress& now) { progress({now.phase, now.done, now.total}); };
}

Callbacks::Callbacks(const v1::GenerateOptions& options, PostRequest& request)
    : cancel_(options.cancel != nullptr ? options.cancel : &own_cancel_) {
  request.cancel = cancel_;
  if (options.on_text)
    request.on_text = [this, &options](std::uint32_t index, int attempt, std::string_view text) {
      guarded([&] { options.on_text(index, attempt, text); });
    };
  if (options.on_prefill)
    request.on_prefill = [this, &options](const Progress& now) {
      guarded([&] { options.on_prefill({now.phase, now.done, now.total}); });
    };
}

template <typename Call>
void Callbacks::guarded(Call call) {
  if (thrown_.test()) return;
  try {
    call();
  } catch (...) {
    if (!thrown_.test_and_set()) exception_ = std::current_exception();
    cancel_->store(true);
  }
}

void Callbacks::rethrow() const {
  if (exception_) std::rethrow_exception(exception_);
}

}  // namespace bobby::api
