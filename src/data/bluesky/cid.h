#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/sha256.h"
#include "data/bluesky/byte_reader.h"

namespace bobby::data {

/// The name of a block: its SHA-256 and how it is written. Only what AT Protocol uses of CIDs:
/// version 1, DAG-CBOR or raw bytes, SHA-256.
struct Cid {
  enum class Codec : std::uint8_t { kRaw = 0x55, kDagCbor = 0x71 };

  Codec codec = Codec::kDagCbor;
  Sha256Digest digest{};

  bool operator==(const Cid&) const = default;

  /// Whether `bytes` are the block of this name.
  bool names(Bytes bytes) const { return sha256(bytes) == digest; }
  /// As people see it: "bafyrei..." (base 32, lower case).
  std::string to_string() const;
};

/// How many bytes a CID takes in its binary form.
inline constexpr std::size_t kCidBytes = 36;

/// Reads a CID in its binary form. kMalformed for bytes that are none, kUnsupported for one of
/// another kind; `where` is the caller's to set.
Result<Cid> read_cid(ByteReader& reader);

}  // namespace bobby::data
