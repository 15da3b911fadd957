#include "data/bluesky/cid.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace bobby::data {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kSha256 = 0x12;
constexpr std::uint64_t kDigestBytes = 32;

tl::unexpected<Error> unsupported(std::string_view what, std::string expected,
                                  std::uint64_t found) {
  return fail({.code = ErrorCode::kUnsupported,
               .problem = fmt::format("has a CID of another {}", what),
               .expected = std::move(expected),
               .found = fmt::format("{:#x}", found)});
}

std::string base32(Bytes bytes) {
  std::string text;
  std::uint32_t bits = 0;
  int held = 0;
  for (const std::byte byte : bytes) {
    bits = (bits << 8 | static_cast<std::uint8_t>(byte)) & 0xffffU;
    for (held += 8; held >= 5; held -= 5)
      text += "abcdefghijklmnopqrstuvwxyz234567"[bits >> (held - 5) & 31U];
  }
  if (held > 0) text += "abcdefghijklmnopqrstuvwxyz234567"[bits << (5 - held) & 31U];
  return text;
}

}  // namespace

std::string Cid::to_string() const {
  std::array<std::byte, kCidBytes> bytes{std::byte{kVersion}, static_cast<std::byte>(codec),
                                         std::byte{kSha256}, std::byte{kDigestBytes}};
  std::copy(digest.begin(), digest.end(), bytes.begin() + 4);
  return "b" + base32(bytes);
}

Result<Cid> read_cid(ByteReader& reader) {
  const auto version = reader.varint();
  if (version && *version == kSha256)
    return unsupported("version", "1", 0);  // version 0 begins with its digest's kind
  if (version && *version != kVersion) return unsupported("version", "1", *version);
  const auto codec = reader.varint();
  const auto kind = reader.varint();
  const auto length = reader.varint();
  if (!version || !codec || !kind || !length)
    return fail({.code = ErrorCode::kMalformed, .problem = "has a CID that is cut off or no CID"});
  if (*codec != static_cast<std::uint64_t>(Cid::Codec::kDagCbor) &&
      *codec != static_cast<std::uint64_t>(Cid::Codec::kRaw))
    return unsupported("codec", "0x71 (DAG-CBOR) or 0x55 (raw)", *codec);
  if (*kind != kSha256) return unsupported("digest", "0x12 (SHA-256)", *kind);
  if (*length != kDigestBytes) return unsupported("digest length", "0x20", *length);
  const auto digest = reader.take(kDigestBytes);
  if (!digest) return fail({.code = ErrorCode::kMalformed, .problem = "has a CID that is cut off"});
  Cid cid{.codec = static_cast<Cid::Codec>(*codec)};
  std::copy(digest->begin(), digest->end(), cid.digest.begin());
  return cid;
}

}  // namespace bobby::data
