#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "data/source.h"

namespace bobby::data {

/// The posts of an exported repository (a CAR file), in the order of their record keys. Every block
/// of the file is checked against its CID, whether it is used or not. Records of other collections
/// are counted by collection and not looked at: a repost, a like and a list hold nobody's words, or
/// another's. Reading ends with kNotFound, kIo, or with kMalformed, kMismatch, kUnsupported and
/// kLimit as CarFile, read_commit, walk_records and decode_dag_cbor tell them, after the file's
/// name.
Result<std::unique_ptr<PostSource>> open_bluesky_repo(const std::filesystem::path& path);

}  // namespace bobby::data
