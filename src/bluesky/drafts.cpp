#include "bluesky/drafts.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "bluesky/json_answer.h"
#include "bluesky/language_tag.h"
#include "bluesky/post_record.h"
#include "bluesky/tid.h"
#include "http/url.h"
#include "voice/graphemes.h"
#include "voice/utf8.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

constexpr std::size_t kMostPosts = 100;
constexpr std::int64_t kMostGraphemes = 1000;
constexpr std::size_t kMostBytes = 10'000;

Error limit(std::string where, std::string expected, std::string found) {
  return {.code = ErrorCode::kLimit,
          .where = std::move(where),
          .problem = "is not what a draft may have",
          .expected = std::move(expected),
          .found = std::move(found)};
}

Result<json> draft_json(const std::vector<std::string>& texts,
                        const std::vector<std::string>& langs) {
  if (texts.empty() || texts.size() > kMostPosts)
    return fail(
        limit("draft", fmt::format("1 to {} posts", kMostPosts), fmt::format("{}", texts.size())));
  json posts = json::array();
  for (const std::string& text : texts) {
    if (text.size() > kMostBytes || count_graphemes(text) > kMostGraphemes)
      return fail(
          limit("draft",
                fmt::format("at most {} graphemes and {} bytes a post", kMostGraphemes, kMostBytes),
                fmt::format("{} bytes", text.size())));
    if (repair_utf8(text) != text)
      return fail(
          {.code = ErrorCode::kMalformed, .where = "draft", .problem = "is no valid UTF-8"});
    posts.push_back({{"text", text}});
  }
  json draft = {{"posts", std::move(posts)}};
  if (langs.size() > kMostLangs || !std::ranges::all_of(langs, is_language_tag))
    return fail(limit("draft", fmt::format("at most {} languages as BCP 47 has them", kMostLangs),
                      fmt::format("{}", fmt::join(langs, ", "))));
  if (!langs.empty()) draft["langs"] = langs;
  return draft;
}

DraftResult refused(Error error) {
  return {.verdict = {.outcome = Outcome::kRefused, .error = std::move(error)}};
}

// Where the account's server knows of no app view, or that one has no drafts.
bool is_unsupported(const XrpcReply& reply) {
  const std::string* message = text_of(reply.output, "message");
  return reply.status == 404 || reply.status == 501 ||
         (message != nullptr && message->find("No service configured") != std::string::npos);
}

DraftResult result_of(XrpcReply reply, std::string id) {
  if (reply.status != 0 && is_unsupported(reply)) {
    reply.verdict.outcome = Outcome::kRefused;
    reply.verdict.error.code = ErrorCode::kUnsupported;
    reply.verdict.error.hint = "the account's server has no drafts";
  }
  DraftResult result{.verdict = std::move(reply.verdict)};
  if (result.verdict.outcome == Outcome::kDone) result.id = std::move(id);
  return result;
}

std::string text_or_none(const json& object, std::string_view key) {
  const std::string* text = text_of(object, key);
  return text == nullptr ? std::string() : *text;
}

// Nothing for what is no draft.
std::optional<RemoteDraft> draft_of(const json& view) {
  RemoteDraft draft{.id = text_or_none(view, "id"),
                    .created_at = text_or_none(view, "createdAt"),
                    .updated_at = text_or_none(view, "updatedAt")};
  const json inner = view.is_object() ? view.value("draft", json()) : json();
  const json posts = inner.is_object() ? inner.value("posts", json()) : json();
  if (draft.id.empty() || !posts.is_array()) return std::nullopt;
  for (const json& post : posts) draft.texts.push_back(text_or_none(post, "text"));
  const json langs = inner.value("langs", json());
  for (const json& lang : langs)
    if (lang.is_string()) draft.langs.push_back(lang.get<std::string>());
  return draft;
}

}  // namespace

DraftResult RemoteDrafts::create(const std::vector<std::string>& texts,
                                 const std::vector<std::string>& langs) {
  auto draft = draft_json(texts, langs);
  if (!draft) return refused(std::move(draft).error());
  XrpcReply reply = session_.call(
      {.method = "app.bsky.draft.createDraft", .input = {{"draft", *std::move(draft)}}},
      Spending::kRead);
  std::string id = text_or_none(reply.output, "id");
  if (reply.verdict.outcome == Outcome::kDone && id.empty())
    reply.verdict = {.outcome = Outcome::kUnknown,
                     .error = {.code = ErrorCode::kMalformed,
                               .where = session_.account().service,
                               .problem = "answers without the draft's id"}};
  return result_of(std::move(reply), std::move(id));
}

DraftResult RemoteDrafts::update(const RemoteDraft& draft) {
  auto inner = draft_json(draft.texts, draft.langs);
  if (!inner) return refused(std::move(inner).error());
  if (!is_tid(draft.id)) return refused(limit("draft", "an id that a server gave", draft.id));
  return result_of(
      session_.call({.method = "app.bsky.draft.updateDraft",
                     .input = {{"draft", {{"id", draft.id}, {"draft", *std::move(inner)}}}},
                     .has_output = false},
                    Spending::kRead),
      draft.id);
}

DraftResult RemoteDrafts::remove(const std::string& id) {
  if (!is_tid(id)) return refused(limit("draft", "an id that a server gave", id));
  return result_of(
      session_.call(
          {.method = "app.bsky.draft.deleteDraft", .input = {{"id", id}}, .has_output = false},
          Spending::kRead),
      id);
}

Result<DraftPage> RemoteDrafts::list(const std::string& cursor) {
  XrpcCall call{.method = "app.bsky.draft.getDrafts", .query = "limit=50", .is_query = true};
  if (!cursor.empty()) call.query += "&cursor=" + net::escape_query(cursor);
  XrpcReply reply = session_.call(std::move(call), Spending::kRead);
  const json output = reply.output;
  if (DraftResult result = result_of(std::move(reply), "");
      result.verdict.outcome != Outcome::kDone)
    return fail(std::move(result.verdict.error));
  const json drafts = output.value("drafts", json());
  if (!drafts.is_array())
    return fail({.code = ErrorCode::kMalformed,
                 .where = session_.account().service,
                 .problem = "answers without a list of drafts"});
  DraftPage page{.drafts = {}, .cursor = text_or_none(output, "cursor")};
  for (const json& view : drafts)
    if (auto draft = draft_of(view)) page.drafts.push_back(*std::move(draft));
  // The end of a listing may carry a cursor; nothing comes after it.
  if (drafts.empty() || page.cursor == cursor) page.cursor.clear();
  return page;
}

}  // namespace bobby::bluesky
