#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "data/bluesky/byte_reader.h"
#include "data/bluesky/cid.h"

namespace bobby::data {

/// Bounds of one block's value, far above what AT Protocol allows of a record.
inline constexpr int kDeepestCbor = 64;
inline constexpr std::size_t kMostCborItems = std::size_t{1} << 17;

/// Reads one DAG-CBOR value that fills `bytes`, and refuses what DAG-CBOR does not write: numbers
/// and lengths in more bytes than they need, indefinite lengths, map keys that are no text, out of
/// order or twice there, tags but 42, floats of other widths, NaN and infinities, text that is no
/// UTF-8, bytes left over. Negative numbers below -2^63 are refused as well. Byte strings become
/// JSON's binary values, links binary values that link_of() reads. kMalformed with the byte where
/// it stands; kLimit past the bounds above; `where` is the caller's to set.
Result<nlohmann::json> decode_dag_cbor(Bytes bytes);

/// The link that `value` is, if it is one.
std::optional<Cid> link_of(const nlohmann::json& value);

/// Of an object's key: the text, link, byte string or unsigned number under it; nothing when the
/// key is not there, or holds something else, or `object` is none.
const std::string* find_text(const nlohmann::json& object, std::string_view key);
std::optional<Cid> find_link(const nlohmann::json& object, std::string_view key);
const nlohmann::json::binary_t* find_bytes(const nlohmann::json& object, std::string_view key);
std::optional<std::uint64_t> find_unsigned(const nlohmann::json& object, std::string_view key);
/// What stands under an object's key; null when nothing does.
const nlohmann::json* find_value(const nlohmann::json& object, std::string_view key);

}  // namespace bobby::data
