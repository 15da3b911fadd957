#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bluesky/drafts.h"
#include "bot/post_maker.h"
#include "store/draft_store.h"
#include "store/outbox.h"

namespace bobby::bot {

/// A draft that is among Bluesky's own.
struct HandedOver {
  std::int64_t draft_id = 0;
  std::string remote_id;
  std::string text;
  bool was_there = false;  ///< an earlier request had arrived
};

/// Sends drafts to Bluesky's own, where they can be approved in its app; here they are out of the
/// way then. None is sent twice: what is there is looked at before, and again after an answer that
/// never came. All that it is given must outlive it.
class HandoverDesk {
 public:
  struct Parts {
    store::DraftStore& drafts;
    store::Outbox& outbox;
    const PostMaker& maker;
    bluesky::RemoteDrafts& remote;
    std::vector<std::string> langs = {};
  };
  explicit HandoverDesk(Parts parts) : parts_(std::move(parts)) {}

  /// PostMaker::preview()'s and Outbox::begin_handover()'s errors. kUnsupported: the server has no
  /// drafts; kTimeout: it may or may not have arrived, and the next call looks; other errors: it
  /// did not, and is a draft here as before.
  Result<HandedOver> send(std::int64_t draft_id, store::Moment now);

 private:
  /// The id of a remote draft of this text that is no other draft's here. Errors of asking.
  Result<std::optional<std::string>> find(const std::string& text, bool ask_again);
  Result<void> look();

  Parts parts_;
  std::optional<std::vector<bluesky::RemoteDraft>> there_;  // once it was asked for
};

}  // namespace bobby::bot
