// bobby bot approve: drafts that may go out.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "app/bot/account.h"
#include "app/bot/setup.h"
#include "bot/approval.h"
#include "cli/bot_shared.h"
#include "cli/command.h"
#include "cli/post_options.h"

namespace bobby::cli {
namespace {

void show(Console& console, const bot::Approval& approval, const bot::NoveltyReport& novelty) {
  if (console.json()) {
    nlohmann::ordered_json object = outbox_json(approval.post);
    object["as_posted"] = approval.preview.text;
    object["graphemes"] = approval.preview.graphemes;
    object["novelty"] = bot::name_of(novelty.kind);
    console.print_json(object);
    return;
  }
  console.print(fmt::format("draft {} is approved: {}", approval.post.draft_id,
                            quoted(approval.preview.text)));
  if (!approval.preview.mentioned.empty())
    console.note(fmt::format("names are taken out when it is posted: @{}",
                             fmt::join(approval.preview.mentioned, ", @")));
  if (novelty.kind != bot::NoveltyKind::kNew)
    console.note(fmt::format("it is not new: {}", novelty.to_string()));
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  std::vector<std::int64_t> ids;
  for (const std::string& text : invocation.arguments) {
    BOBBY_TRY(const std::int64_t id, draft_number(text));
    ids.push_back(id);
  }
  BOBBY_TRY(const bluesky::SessionData session, chosen_session(settings));
  BOBBY_TRY(BotStore store, open_bot_store(settings));
  BOBBY_TRY(const bot::PostMaker maker, make_post_maker(settings));
  BOBBY_TRY(const bot::NoveltyIndex past, past_texts(settings, store));
  bot::Approver approver(*store.drafts, *store.outbox, maker, session.account.did);
  std::vector<Error> errors;
  for (const std::int64_t id : ids) {
    auto approval = approver.approve(id, moment_now());
    const bot::Source self = draft_source(id);
    if (approval)
      show(invocation.console, *approval, past.check(approval->post.text, &self));
    else
      errors.push_back(std::move(approval).error());
  }
  if (!errors.empty()) return fail(join_errors(std::move(errors)));
  return kDone;
}

constexpr Argument kArguments[] = {{"ID", true, "Drafts, by their numbers", true}};
constexpr auto kOptions = joined(kBotOptions, kTextRuleOptions);
constexpr Example kExamples[] = {
    {"bobby bot approve 12", "draft 12 goes out when the schedule says so"},
    {"bobby bot approve 12 13 15 --account alice.bsky.social", "several, for one of two accounts"},
};

}  // namespace

const Command kBotApprove = {
    .group = "bot",
    .name = "approve",
    .summary = "let drafts be posted",
    .description =
        "Approves drafts: what would go out is checked and shown, and the key of its record is "
        "chosen, by which it can be posted only once. An approved draft whose text is changed is "
        "a draft again.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
