#include "posts/post_job.h"

#include <algorithm>
#include <random>
#include <utility>

#include "voice/graphemes.h"

namespace bobby {
namespace {

/// A row may run on this many graphemes past char_limit before it is stopped: enough to see whether
/// a sentence that ends at the limit ends there.
constexpr std::int64_t kOverrun = 8;

std::uint64_t draw_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

Result<void> validate(const PostRequest& request) {
  std::vector<Error> errors;
  const auto check = [&](bool holds, std::string where, std::string expected, std::int64_t found) {
    if (!holds)
      errors.push_back({.code = ErrorCode::kUsage,
                        .where = std::move(where),
                        .problem = "is out of range",
                        .expected = std::move(expected),
                        .found = std::to_string(found)});
  };
  check(request.count >= 1 && request.count <= kTryStride, "count",
        "1 to " + std::to_string(kTryStride), request.count);
  check(request.retries >= 0 && request.retries <= kMostRetries, "retries",
        "0 to " + std::to_string(kMostRetries), request.retries);
  check(request.rules.char_limit >= 0, "char-limit", "0 (none) or more", request.rules.char_limit);
  check(request.rules.min_chars >= 0, "min-chars", "0 or more", request.rules.min_chars);
  check(request.rules.char_limit == 0 || request.rules.min_chars <= request.rules.char_limit,
        "min-chars", "at most char-limit, " + std::to_string(request.rules.char_limit),
        request.rules.min_chars);
  if (errors.empty()) return {};
  return fail(join_errors(std::move(errors)));
}

/// Tokens that end an answer.
std::vector<std::int32_t> ends_of(const LoadedModel& loaded,
                                  const std::vector<std::string>& stops) {
  std::vector<std::int32_t> ids = loaded.model->config().eos_token_id;
  for (const std::string& stop : stops)
    if (const auto id = loaded.tokenizer->token_to_id(stop);
        id && loaded.tokenizer->is_special(*id) && std::ranges::find(ids, *id) == ids.end())
      ids.push_back(*id);
  return ids;
}

}  // namespace

Result<std::unique_ptr<PostJob>> PostJob::make(PostRequest request,
                                               std::shared_ptr<LoadedModel> loaded) {
  BOBBY_CHECK(validate(request));
  BOBBY_TRY(std::string prompt, render_prompt(request.form, request.prompt, request.system));
  return std::unique_ptr<PostJob>(
      new PostJob(std::move(request), std::move(loaded), std::move(prompt)));
}

PostJob::PostJob(PostRequest request, std::shared_ptr<LoadedModel> loaded, std::string prompt)
    : request_(std::move(request)),
      loaded_(std::move(loaded)),
      prompt_(std::move(prompt)),
      seed_(request_.seed ? *request_.seed : draw_seed()),
      most_tries_(request_.sampling.temperature == 0.0f || request_.raw
                      ? 1
                      : static_cast<std::size_t>(request_.retries) + 1),
      rules_(request_.rules),
      slots_(request_.count) {
  rules_.stops.insert(rules_.stops.end(), request_.form.stops.begin(), request_.form.stops.end());
  ends_ = ends_of(*loaded_, rules_.stops);
  settle();
}

/// Settles every post by the tries made so far, from none; what needs another one is open_. A post
/// is its first try that is one and is no earlier post's text. Settling again from the beginning
/// makes the outcome the same in whatever order the tries were made.
void PostJob::settle() {
  open_.clear();
  std::set<std::string_view> taken;
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    slot.accepted.reset();
    for (std::size_t attempt = 0; attempt < slot.tries.size() && !slot.accepted; ++attempt)
      if (!rejection(slot.tries[attempt], taken)) slot.accepted = attempt;
    if (slot.accepted)
      taken.insert(slot.tries[*slot.accepted].clean.text);
    else if (slot.tries.size() < most_tries_)
      open_.push_back(index);
  }
}

std::optional<Rejection> PostJob::rejection(const Candidate& candidate,
                                            const std::set<std::string_view>& taken) const {
  if (candidate.completion.finish_reason == FinishReason::kCancelled) return Rejection::kCancelled;
  if (request_.raw) return std::nullopt;
  if (candidate.clean.graphemes == 0) return Rejection::kEmpty;
  if (candidate.clean.too_short) return Rejection::kTooShort;
  if (taken.contains(candidate.clean.text)) return Rejection::kDuplicate;
  return std::nullopt;
}

std::optional<GenerationRequest> PostJob::next() {
  if (open_.empty() || cancelled_) return std::nullopt;
  GenerationRequest generation;
  generation.prompt = prompt_;
  generation.max_tokens = request_.max_tokens;
  generation.sampling = request_.sampling;
  generation.seed = seed_;
  generation.stop = request_.form.stops;
  generation.adapters = request_.adapters;
  generation.on_prefill = request_.on_prefill;
  generation.cancel = request_.cancel;
  generation.deadline = request_.deadline;
  generation.client = request_.client;
  generation.samples.clear();
  for (const std::uint32_t index : open_)
    generation.samples.push_back(index +
                                 static_cast<std::uint32_t>(attempt_of(index)) * kTryStride);
  if (request_.finish_sentences && !request_.raw && rules_.char_limit > 0)
    generation.logits_rule = finish_rule();
  generation.on_token = [this](const TokenEvent& event) {
    const std::uint32_t index = open_[event.row];
    if (request_.on_text && !event.text.empty())
      request_.on_text(index, static_cast<int>(attempt_of(index)), event.text);
    return long_enough(event.all_text) ? RowAction::kFinish : RowAction::kContinue;
  };
  return generation;
}

Result<void> PostJob::take(Result<std::vector<Completion>> completions) {
  if (!completions && completions.error().code == ErrorCode::kCancelled) {
    cancelled_ = true;  // what earlier rounds accepted stands
    return {};
  }
  if (!completions) return fail(std::move(completions).error());
  for (std::size_t row = 0; row < open_.size(); ++row) {
    Completion& completion = (*completions)[row];
    cancelled_ |= completion.finish_reason == FinishReason::kCancelled;
    CleanPost clean = clean_post(completion.text, rules_);
    slots_[open_[row]].tries.push_back({std::move(completion), std::move(clean)});
  }
  settle();
  return {};
}

/// Whether more text cannot change the post, which is cut at char_limit anyway.
bool PostJob::long_enough(std::string_view text) const {
  const std::int64_t limit = rules_.char_limit;
  return !request_.raw && limit > 0 && room(text) < -kOverrun;
}

/// Graphemes that the post of `text` may still have, if they are few; negative past the limit.
std::int64_t PostJob::room(std::string_view text) const {
  // A grapheme has a byte at least, so a short text needs no counting.
  const std::int64_t at_least = rules_.char_limit - std::ssize(text);
  if (at_least >= SentenceFinish::window(rules_.char_limit)) return at_least;
  PostRules rules = rules_;
  rules.char_limit = 0;
  return rules_.char_limit - clean_post(text, rules).graphemes;
}

LogitsRule PostJob::finish_rule() {
  return {.wants =
              [this](const RowSoFar& row) {
                return room(row.text) < SentenceFinish::window(rules_.char_limit);
              },
          .apply =
              [this](const RowSoFar& row, std::span<float> logits) {
                if (!request_.sentence_finish)
                  request_.sentence_finish =
                      std::make_shared<const SentenceFinish>(*loaded_->tokenizer);
                request_.sentence_finish->apply(row.text, room(row.text), rules_.char_limit, ends_,
                                                logits);
              }};
}

Post PostJob::post(std::uint32_t index) const {
  const Slot& slot = slots_[index];
  const Candidate& candidate = slot.tries[*slot.accepted];
  const Completion& completion = candidate.completion;
  const std::string& text = request_.raw ? completion.text : candidate.clean.text;
  const bool cut = !request_.raw && candidate.clean.cut != PostCut::kNone;
  return {.index = index,
          .text = text,
          .graphemes = count_graphemes(text),
          .tokens = std::ssize(completion.tokens),
          .seed = seed_,
          .finish_reason = cut ? FinishReason::kLengthLimit : completion.finish_reason,
          .tries = static_cast<int>(*slot.accepted) + 1,
          .mean_logprob = completion.mean_logprob,
          .prefill_ms = completion.prefill_ms,
          .decode_tok_s = completion.decode_tok_s};
}

PostBatch PostJob::result() const {
  PostBatch batch;
  batch.seed = seed_;
  batch.cancelled = cancelled_;
  std::set<std::string_view> taken;
  for (std::uint32_t index = 0; index < slots_.size(); ++index) {
    const Slot& slot = slots_[index];
    const std::size_t rejected = slot.accepted.value_or(slot.tries.size());
    for (std::size_t attempt = 0; attempt < rejected; ++attempt)
      batch.rejected.push_back({.index = index,
                                .attempt = static_cast<int>(attempt),
                                .reason = *rejection(slot.tries[attempt], taken),
                                .text = slot.tries[attempt].clean.text});
    if (!slot.accepted) continue;
    taken.insert(slot.tries[*slot.accepted].clean.text);
    batch.posts.push_back(post(index));
  }
  return batch;
}

std::string_view rejection_name(Rejection reason) {
  switch (reason) {
    case Rejection::kEmpty: return "empty";
    case Rejection::kTooShort: return "too short";
    case Rejection::kDuplicate: return "duplicate";
    case Rejection::kCancelled: return "cancelled";
  }
  return "empty";
}

}  // namespace bobby
