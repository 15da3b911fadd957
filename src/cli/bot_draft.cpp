// bobby bot draft: writes drafts, and keeps the best.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/bot_shared.h"
#include "cli/bot_writing.h"
#include "cli/command.h"
#include "cli/post_options.h"

namespace bobby::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMostDrafts = 1000;

Json candidate_json(const bot::Candidate& candidate) {
  Json json = {{"text", candidate.text},
               {"graphemes", candidate.graphemes},
               {"mean_logprob", candidate.post.mean_logprob},
               {"score", candidate.score},
               {"novelty",
                {{"kind", bot::name_of(candidate.novelty.kind)},
                 {"score", candidate.novelty.score},
                 {"words_in_a_row", candidate.novelty.ngram_words}}}};
  if (candidate.novelty.ngram_words > 0) {
    json["novelty"]["words"] = candidate.novelty.longest_ngram;
    json["novelty"]["words_of"] = candidate.novelty.ngram_source.to_string();
  }
  if (candidate.novelty.score > 0)
    json["novelty"]["nearest"] = candidate.novelty.nearest.to_string();
  if (!candidate.why_not.empty()) json["why_not"] = candidate.why_not;
  return json;
}

void show(Console& console, const StoredDrafts& stored) {
  for (std::size_t i = 0; i < stored.drafts.size(); ++i) {
    const bot::Candidate& candidate = stored.written.kept[i];
    if (console.json()) {
      Json json = {{"draft", stored.drafts[i].id}, {"seed", stored.written.seed}};
      json.update(candidate_json(candidate));
      console.print_json(json);
      continue;
    }
    console.print(fmt::format("draft {}: {}", stored.drafts[i].id, candidate.text));
    console.detail(fmt::format("  {:.2f} a token, score {:.2f}; {}", candidate.post.mean_logprob,
                               candidate.score, candidate.novelty.to_string()));
  }
  for (const bot::Candidate& candidate : stored.written.others) {
    if (console.json() && console.verbose())
      console.print_json(Json{{"draft", nullptr}, {"candidate", candidate_json(candidate)}});
    else
      console.detail(fmt::format("not kept, score {:.2f}: {}: {}", candidate.score,
                                 candidate.why_not, quoted(candidate.text)));
  }
}

Result<int> run(const Invocation& invocation) {
  Console& console = invocation.console;
  BOBBY_TRY(const std::int64_t count, draft_number(invocation.arguments.front()));
  if (count > kMostDrafts)
    return fail({.code = ErrorCode::kUsage,
                 .where = "COUNT",
                 .problem = "is too many at once",
                 .expected = fmt::format("1 to {}", kMostDrafts),
                 .found = invocation.arguments.front()});
  BOBBY_TRY(const bot::PostMaker maker, make_post_maker(invocation.settings));
  BOBBY_TRY(BotStore store, open_bot_store(invocation.settings));
  DraftOrder order{.count = static_cast<std::uint32_t>(count)};
  if (invocation.arguments.size() > 1) order.prompt = invocation.arguments[1];
  BOBBY_TRY(const StoredDrafts stored, write_drafts(invocation, store, maker, order));
  show(console, stored);
  if (stored.written.cancelled) return kInterrupted;
  const std::size_t kept = stored.drafts.size();
  if (kept == order.count) return kDone;
  if (kept > 0) {
    console.note(
        fmt::format("{} of {} drafts: the other texts were not new, or not to be posted; "
                    "-v says why",
                    kept, order.count));
    return kDone;
  }
  console.error({.code = ErrorCode::kLimit,
                 .problem = "no text was new and could be posted",
                 .hint = "-v says why; --candidates and --temperature change it"});
  return kNothingAcceptable;
}

constexpr Argument kArguments[] = {
    {"COUNT", true, "How many drafts"},
    {"PROMPT", false, "What to ask for, in place of --prompt"},
};
constexpr auto kOptions =
    joined(joined(kWritingOptions, kTextRuleOptions), std::array{Opt::kDrafts});
constexpr Example kExamples[] = {
    {"bobby bot draft 5 --adapter ./voice --archive data/train.jsonl",
     "five drafts that repeat nothing of the archive"},
    {"bobby bot draft 3 \"write about coffee\" --candidates 8 -v",
     "the best of eight texts each, and why the others were not kept"},
};

}  // namespace

const Command kBotDraft = {
    .group = "bot",
    .name = "draft",
    .summary = "write drafts and keep the best",
    .description =
        "Writes several texts for each draft and keeps those that fit the voice best (by the mean "
        "log-probability of their tokens), that are new against the archive, earlier posts and "
        "drafts, and that the deny list lets pass. They wait in the store until someone approves "
        "them. Exits with 3 when none would do.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
