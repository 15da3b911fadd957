#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "base/result.h"
#include "bluesky/identity.h"
#include "http/answer.h"

namespace bobby::bluesky {

/// Takes a record: its at:// URI and its value as JSON. An error ends the listing and is its
/// answer.
using RecordSink = std::function<Result<void>(std::string_view uri, std::string_view value)>;

/// Lists all records of an account's collection ("app.bsky.feed.post") by their keys, oldest first,
/// a hundred a request (com.atproto.repo.listRecords). kMalformed for answers that are no list of
/// records, or whose cursor stands still; net::Get's errors; the sink's. Progress is in records.
Result<void> list_records(const net::Get& get, const Account& account,
                          const std::string& collection, const RecordSink& sink,
                          const ProgressFn& progress = {});

}  // namespace bobby::bluesky
