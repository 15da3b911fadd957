#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "data/source.h"

namespace bobby::data {

/// A record as a server lists it: its at:// URI and its value, in AT Protocol's JSON.
using ListedRecordSink = std::function<Result<void>(std::string_view uri, std::string_view value)>;
/// Lists the records of an account's posts, oldest key first, and hands each on. Filled by whoever
/// composes the program: this room knows no network.
using RecordLister =
    std::function<Result<void>(const ListedRecordSink& sink, const ProgressFn& progress)>;

/// The posts of the account `did` that a server lists, in the order of their record keys. Unlike an
/// exported repository, which proves what it holds, they are what the server says they are. Reading
/// ends with the lister's errors, or kMalformed for a record that is another account's, out of
/// order, or no JSON object.
std::unique_ptr<PostSource> listed_bluesky_posts(std::string did, RecordLister list);

}  // namespace bobby::data
