#include "bot/bluesky_target.h"

#include <chrono>
#include <string>
#include <utility>

#include "bluesky/post_record.h"

namespace bobby::bot {
namespace {

using bluesky::Outcome;
using std::chrono::milliseconds;

CreateAnswer::Kind kind_of(const bluesky::Verdict& verdict) {
  switch (verdict.outcome) {
    case Outcome::kDone: return CreateAnswer::Kind::kCreated;
    case Outcome::kRefused: return CreateAnswer::Kind::kRefused;
    case Outcome::kLater:
      return verdict.needs_person ? CreateAnswer::Kind::kNoAccount : CreateAnswer::Kind::kNotNow;
    case Outcome::kUnknown: break;
  }
  return CreateAnswer::Kind::kUnknown;
}

}  // namespace

CreateAnswer BlueskyTarget::create(std::string_view record_key, std::string_view record) {
  const bluesky::WriteResult result = repository_.create(
      std::string(bluesky::kPostCollection), std::string(record_key), std::string(record));
  CreateAnswer answer{
      .kind = kind_of(result.verdict), .uri = result.record.uri, .cid = result.record.cid};
  if (answer.kind != CreateAnswer::Kind::kCreated)
    answer.problem = result.verdict.error.to_string();
  if (result.verdict.not_before)
    answer.wait =
        std::chrono::ceil<milliseconds>(*result.verdict.not_before - repository_.session().now());
  return answer;
}

FindAnswer BlueskyTarget::find(std::string_view record_key) {
  auto found = repository_.get(std::string(bluesky::kPostCollection), std::string(record_key));
  if (!found) return {.kind = FindAnswer::Kind::kUnknown, .problem = found.error().to_string()};
  if (!*found) return {.kind = FindAnswer::Kind::kNotThere};
  return {.kind = FindAnswer::Kind::kThere,
          .uri = (*found)->ref.uri,
          .cid = (*found)->ref.cid,
          .record = std::move((*found)->value)};
}

bool BlueskyTarget::same(std::string_view a, std::string_view b) const {
  return bluesky::same_record(a, b);
}

}  // namespace bobby::bot
