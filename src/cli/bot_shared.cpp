#include "cli/bot_shared.h"

#include <charconv>
#include <chrono>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/console.h"
#include "cli/signals.h"

namespace bobby::cli {

using std::chrono::milliseconds;

store::Moment moment_now() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string time_text(store::Moment moment) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC",
                     fmt::gmtime(static_cast<std::time_t>(moment / 1000)));
}

bool is_far_ahead(store::Moment handled_until, store::Moment now) {
  constexpr store::Moment kMinute = 60'000;  // by which clocks are put right all the time
  return handled_until > now + kMinute;
}

std::string silence_text(const std::string& handled_until) {
  return fmt::format(
      "nothing goes out before {}, up to which a clock that was ahead has handled the schedule; "
      "`bobby bot resume` goes on now",
      handled_until);
}

net::Watch interruptible() {
  return [] {
    if (cancelled()) throw Interrupted();
  };
}

Result<std::int64_t> draft_number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number > 0) return number;
  return fail({.code = ErrorCode::kUsage,
               .where = fmt::format("\"{}\"", text),
               .problem = "is no draft's number",
               .hint = "`bobby bot review` and `bobby bot status` name them"});
}

std::string quoted(const std::string& text) {
  std::string line = "\"";
  for (const char c : text) line += c == '\n' || c == '\r' ? ' ' : c;
  return line + "\"";
}

nlohmann::ordered_json outbox_json(const store::OutboxPost& post) {
  nlohmann::ordered_json object = {
      {"draft", post.draft_id},  {"state", store::outbox_state_name(post.state)},
      {"account", post.account}, {"record_key", post.record_key},
      {"text", post.text},       {"attempts", post.attempts}};
  if (!post.uri.empty()) object["uri"] = post.uri;
  if (!post.cid.empty()) object["cid"] = post.cid;
  if (!post.problem.empty()) object["problem"] = post.problem;
  if (post.posted_at > 0) object["posted_at"] = time_text(post.posted_at);
  return object;
}

}  // namespace bobby::cli
