#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "data/bluesky/byte_reader.h"
#include "data/bluesky/cid.h"

namespace bobby::data {

/// What a repository's signed commit says. The signature is not checked: its key is not in the
/// file.
struct Commit {
  std::string did;       ///< whose repository
  std::string revision;  ///< a timestamp identifier; empty in old repositories
  Cid tree;              ///< the root of its records
};

/// Reads a commit's block. kMalformed, kUnsupported (a version other than 2 and 3).
Result<Commit> read_commit(Bytes block);

/// Gives the bytes of a block, good until the next call.
using BlockReader = std::function<Result<Bytes>(const Cid&)>;
/// Takes a record: its key ("app.bsky.feed.post/3jzfcijpj2z2a") and what it is stored under. An
/// error ends the walk and is its answer.
using RecordVisitor = std::function<Result<void>(std::string_view key, const Cid& record)>;

/// Visits each record of a Merkle search tree once, in the order of the keys. The order is checked
/// over the whole tree, and so are the prefixes, the keys' alphabet and the depth: a tree that
/// meets itself cannot keep the order, so the walk ends whatever the blocks hold. kMalformed with
/// the node's CID; kLimit for trees deeper or wider than any that SHA-256 can shape; kNotFound for
/// a block that is missing.
Result<void> walk_records(const Cid& root, const BlockReader& blocks, const RecordVisitor& visit);

}  // namespace bobby::data
