#pragma once

// Writes repositories block by block, right or wrong ones. What a right one is, the repository of a
// real server beside this file says.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/bluesky/cid.h"

namespace bobby::data {

/// DAG-CBOR of a value; binary values are byte strings, or links as link() makes them.
std::string cbor(const nlohmann::json& value);
/// A head of CBOR: a kind, and a number in as few bytes as it needs.
std::string cbor_head(int major, std::uint64_t number);

Bytes bytes_of(std::string_view text);
Cid cid_of(std::string_view block);
std::string binary(const Cid& cid);
nlohmann::json link(const Cid& cid);
nlohmann::json byte_string(std::string_view bytes);
std::string varint(std::uint64_t number);

struct Block {
  Cid cid;
  std::string bytes;
};
Block block_of(const nlohmann::json& value);

/// A CAR file's parts.
std::string car_header(const Cid& root);
std::string car_section(const Cid& cid, std::string_view bytes);
std::string car(const Cid& root, const std::vector<Block>& blocks);

/// An entry of a tree node, `shared` bytes of its key being those of the key before.
nlohmann::json entry(std::string_view rest, std::uint64_t shared, const Cid& record,
                     const std::optional<Cid>& right = std::nullopt);
nlohmann::json node(const std::vector<nlohmann::json>& entries,
                    const std::optional<Cid>& left = std::nullopt);
nlohmann::json commit(const Cid& tree);

inline constexpr const char* kDid = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

/// A repository of these records by key, its tree shaped by the keys' hashes as AT Protocol has it.
std::vector<Block> repo_blocks(const std::map<std::string, nlohmann::json>& records);
/// Its CAR file: the commit is the last of the blocks.
std::string repo_car(const std::map<std::string, nlohmann::json>& records);

/// A post's record.
nlohmann::json post(std::string_view text, std::string_view created = "2024-02-29T12:00:00.000Z");

}  // namespace bobby::data
