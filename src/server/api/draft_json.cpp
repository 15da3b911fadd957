#include "server/api/draft_json.h"

#include <chrono>
#include <fmt/chrono.h>
#include <fmt/format.h>

namespace bobby::server {
namespace {

using store::Moment;
using store::OutboxState;

/// As the store writes a draft's own times: "2025-11-28T16:07:31.042Z"; null: never.
Json time_json(Moment moment) {
  if (moment <= 0) return nullptr;
  const auto seconds = static_cast<std::time_t>(moment / 1000);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), moment % 1000);
}

Json text_json(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

/// Where readers find a post. Bluesky's own page shows any account's, whatever its server.
Json url_json(const store::PostStanding& post) {
  if (post.state != OutboxState::kPosted) return nullptr;
  return fmt::format("https://bsky.app/profile/{}/post/{}", post.account, post.record_key);
}

Json post_json(const store::PostStanding& post) {
  const bool waits = post.state == OutboxState::kApproved || post.state == OutboxState::kSending;
  return {{"state", store::outbox_state_name(post.state)},
          {"account", post.account},
          {"record_key", post.record_key},
          {"attempts", post.attempts},
          {"uri", text_json(post.uri)},
          {"url", url_json(post)},
          {"problem", text_json(post.problem)},
          {"again_at", waits ? time_json(post.not_before) : Json(nullptr)},
          {"approved_at", time_json(post.approved_at)},
          {"posted_at", time_json(post.posted_at)}};
}

Json decision_json(const store::LastDecision& decision) {
  return {{"decision", decision.decision},
          {"reason", text_json(decision.reason)},
          {"at", time_json(decision.at)}};
}

}  // namespace

Json draft_json(const store::Draft& draft) {
  Json json = {{"id", draft.id},         {"text", draft.text},       {"status", draft.status},
               {"prompt", draft.prompt}, {"adapter", draft.adapter}, {"seed", nullptr}};
  if (draft.seed) json["seed"] = *draft.seed;
  json["graphemes"] = draft.graphemes;
  json["created_at"] = draft.created_at;
  json["updated_at"] = draft.updated_at;
  json["post"] = draft.post ? post_json(*draft.post) : Json(nullptr);
  json["decision"] = draft.decision ? decision_json(*draft.decision) : Json(nullptr);
  return json;
}

}  // namespace bobby::server
