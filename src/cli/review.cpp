#include "cli/review.h"

#include <fmt/format.h>
#include <utility>

#include "app/bot/setup.h"
#include "cli/bot_shared.h"
#include "voice/graphemes.h"

namespace bobby::cli {
namespace {

constexpr const char* kKeys = "[a]pprove  [e]dit  [r]eject  [s]kip  [q]uit";

// Trouble with the store ends a review; anything else is about the draft, and said.
bool is_of_store(const Error& error) {
  return error.code == ErrorCode::kIo || error.code == ErrorCode::kMalformed;
}

}  // namespace

void Review::show(const store::Draft& draft, std::size_t number, std::size_t of) const {
  const auto& say = parts_.desk.say;
  say("");
  say(fmt::format("draft {} ({} of {}), {} characters{}{}", draft.id, number, of, draft.graphemes,
                  draft.prompt.empty() ? "" : fmt::format(", on \"{}\"", draft.prompt),
                  draft.adapter.empty() ? "" : fmt::format(", by {}", draft.adapter)));
  say("");
  say(draft.text);
  say("");
  if (draft.decision)
    say(fmt::format("{} on {}{}{}", draft.decision->decision, time_text(draft.decision->at),
                    draft.decision->reason.empty() ? "" : ": ", draft.decision->reason));
  const auto preview = parts_.maker.preview(draft.text);
  if (!preview)
    say("cannot be posted as it is: " + preview.error().to_string());
  else if (preview->text != draft.text)
    say("readers will see: " + preview->text);
  const bot::Source self = draft_source(draft.id);
  say(parts_.past.check(draft.text, &self).to_string());
}

Result<Review::Next> Review::approve(const store::Draft& draft) {
  const auto approval = parts_.approver.approve(draft.id, parts_.now());
  if (!approval && is_of_store(approval.error())) return fail(approval.error());
  if (!approval) {
    parts_.desk.say(approval.error().to_string());
    return Next::kSame;
  }
  ++counts_.approved;
  return Next::kNextOne;
}

Result<Review::Next> Review::reject(const store::Draft& draft) {
  const auto reason = parts_.desk.ask("why (may be empty): ");
  if (!reason) return Next::kEnd;
  const auto rejected = parts_.outbox.reject(draft.id, *reason, parts_.now());
  if (!rejected && is_of_store(rejected.error())) return fail(rejected.error());
  if (!rejected) {
    parts_.desk.say(rejected.error().to_string());
    return Next::kSame;
  }
  ++counts_.rejected;
  return Next::kNextOne;
}

Result<Review::Next> Review::edit(store::Draft& draft) {
  auto text = parts_.desk.edit(draft.text);
  if (!text) {
    parts_.desk.say(text.error().to_string());
    return Next::kSame;
  }
  if (!*text || **text == draft.text) return Next::kSame;
  auto changed =
      parts_.drafts.update(draft.id, {.text = **text, .graphemes = count_graphemes(**text)});
  if (!changed && is_of_store(changed.error())) return fail(std::move(changed).error());
  if (!changed) {
    parts_.desk.say(changed.error().to_string());
  } else if (!*changed) {
    parts_.desk.say("the draft is not there any more");
    return Next::kNextOne;
  } else {
    draft = **std::move(changed);
    ++counts_.edited;
  }
  return Next::kSame;
}

Result<Review::Next> Review::decide(store::Draft& draft, char key) {
  switch (key) {
    case 'a': return approve(draft);
    case 'e': return edit(draft);
    case 'r': return reject(draft);
    case 's': ++counts_.skipped; return Next::kNextOne;
    case 'q': return Next::kEnd;
    default: parts_.desk.say(kKeys); return Next::kSame;
  }
}

Result<ReviewCounts> Review::run(std::vector<store::Draft> drafts) {
  for (std::size_t i = 0; i < drafts.size(); ++i) {
    for (Next next = Next::kSame; next == Next::kSame;) {
      show(drafts[i], i + 1, drafts.size());
      parts_.desk.say(kKeys);
      const auto key = parts_.desk.choose();
      if (!key) return counts_;
      BOBBY_TRY(next, decide(drafts[i], *key));
      if (next == Next::kEnd) return counts_;
    }
  }
  return counts_;
}

}  // namespace bobby::cli
