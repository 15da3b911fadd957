#pragma once

#include <memory>

#include "app/settings.h"
#include "base/result.h"
#include "bot/filters.h"
#include "bot/novelty.h"
#include "bot/post_maker.h"
#include "bot/schedule/schedule_config.h"
#include "store/draft_store.h"
#include "store/outbox.h"

namespace bobby {

/// What the [bot] settings say of when to post.
Result<bot::ScheduleConfig> schedule_config(const Settings& settings);

/// The filter that they ask for, with the deny list read. kUsage names the rule that is none; kIo,
/// kNotFound.
Result<bot::Filter> make_filter(const Settings& settings);

/// What becomes of drafts. The callbacks may be empty.
Result<bot::PostMaker> make_post_maker(const Settings& settings,
                                       bluesky::DidOfHandle did_of_handle = {},
                                       bot::CardOfPage card_of_page = {});

/// Both views of the one store.
struct BotStore {
  std::unique_ptr<store::DraftStore> drafts;
  std::unique_ptr<store::Outbox> outbox;
};
Result<BotStore> open_bot_store(const Settings& settings);
/// As open_bot_store(), but makes none. kNotFound: there is no store.
Result<BotStore> open_existing_store(const Settings& settings);

/// What a draft is compared with: the archives, what was posted, and the drafts of the store,
/// rejected ones too. kNotFound, kIo, kMalformed of an archive; the store's.
Result<bot::NoveltyIndex> past_texts(const Settings& settings, BotStore& store);

/// How past_texts() names a draft.
bot::Source draft_source(std::int64_t id);

}  // namespace bobby
