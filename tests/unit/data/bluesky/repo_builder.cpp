#include "unit/data/bluesky/repo_builder.h"

#include <algorithm>
#include <bit>

namespace bobby::data {

using nlohmann::json;

std::string cbor_head(int major, std::uint64_t number) {
  const auto first = [&](int info) { return std::string(1, static_cast<char>(major << 5 | info)); };
  if (number < 24) return first(static_cast<int>(number));
  const int width = number < 1ULL << 8 ? 0 : number < 1ULL << 16 ? 1 : number < 1ULL << 32 ? 2 : 3;
  std::string head = first(24 + width);
  for (int byte = (1 << width) - 1; byte >= 0; --byte)
    head += static_cast<char>(number >> (8 * byte) & 0xff);
  return head;
}

std::string cbor(const json& value) {
  if (value.is_null()) return "\xf6";
  if (value.is_boolean()) return value.get<bool>() ? "\xf5" : "\xf4";
  if (value.is_number_float()) {
    std::string bytes = "\xfb";
    const auto bits = std::bit_cast<std::uint64_t>(value.get<double>());
    for (int byte = 7; byte >= 0; --byte) bytes += static_cast<char>(bits >> (8 * byte) & 0xff);
    return bytes;
  }
  if (value.is_number()) {
    const bool negative =
        value.is_number_integer() && !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
    return negative ? cbor_head(1, static_cast<std::uint64_t>(-1 - value.get<std::int64_t>()))
                    : cbor_head(0, value.get<std::uint64_t>());
  }
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return cbor_head(3, text.size()) + text;
  }
  if (value.is_binary()) {
    const auto& binary = value.get_binary();
    const std::string bytes(binary.begin(), binary.end());
    if (!binary.has_subtype()) return cbor_head(2, bytes.size()) + bytes;
    return cbor_head(6, 42) + cbor_head(2, bytes.size() + 1) + '\0' + bytes;
  }
  std::string bytes = cbor_head(value.is_array() ? 4 : 5, value.size());
  if (value.is_array()) {
    for (const json& item : value) bytes += cbor(item);
    return bytes;
  }
  std::vector<std::string> keys;
  for (const auto& [key, item] : value.items()) keys.push_back(key);
  std::stable_sort(keys.begin(), keys.end(), [](const std::string& left, const std::string& right) {
    return left.size() < right.size();  // those of one size are in order
  });
  for (const std::string& key : keys) bytes += cbor(key) + cbor(value[key]);
  return bytes;
}

Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Cid cid_of(std::string_view block) {
  return {.codec = Cid::Codec::kDagCbor, .digest = sha256(bytes_of(block))};
}

std::string binary(const Cid& cid) {
  std::string bytes = {'\1', static_cast<char>(cid.codec), '\x12', '\x20'};
  for (const std::byte byte : cid.digest) bytes += static_cast<char>(byte);
  return bytes;
}

json byte_string(std::string_view bytes) {
  return json::binary(std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
}

json link(const Cid& cid) {
  const std::string bytes = binary(cid);
  return json::binary(std::vector<std::uint8_t>(bytes.begin(), bytes.end()), 42);
}

std::string varint(std::uint64_t number) {
  std::string bytes;
  for (; number >= 0x80; number >>= 7) bytes += static_cast<char>(number | 0x80);
  return bytes + static_cast<char>(number);
}

Block block_of(const json& value) {
  std::string bytes = cbor(value);
  const Cid cid = cid_of(bytes);
  return {.cid = cid, .bytes = std::move(bytes)};
}

std::string car_header(const Cid& root) {
  const std::string header = cbor({{"roots", json::array({link(root)})}, {"version", 1}});
  return varint(header.size()) + header;
}

std::string car_section(const Cid& cid, std::string_view bytes) {
  return varint(kCidBytes + bytes.size()) + binary(cid) + std::string(bytes);
}

std::string car(const Cid& root, const std::vector<Block>& blocks) {
  std::string bytes = car_header(root);
  for (const Block& block : blocks) bytes += car_section(block.cid, block.bytes);
  return bytes;
}

json entry(std::string_view rest, std::uint64_t shared, const Cid& record,
           const std::optional<Cid>& right) {
  return {{"k", byte_string(rest)},
          {"p", shared},
          {"t", right ? link(*right) : json(nullptr)},
          {"v", link(record)}};
}

json node(const std::vector<json>& entries, const std::optional<Cid>& left) {
  return {{"e", entries}, {"l", left ? link(*left) : json(nullptr)}};
}

json commit(const Cid& tree) {
  return {{"did", kDid},        {"version", 3},
          {"data", link(tree)}, {"rev", "3kmjyz5jxvk2a"},
          {"prev", nullptr},    {"sig", byte_string("s")}};
}

namespace {

using Records = std::vector<std::pair<std::string, Cid>>;

int layer_of(const std::string& key) {
  int zeros = 0;
  for (const std::byte byte : sha256(bytes_of(key))) {
    const auto value = static_cast<std::uint8_t>(byte);
    zeros += std::countl_zero(value);
    if (value != 0) break;
  }
  return zeros / 2;
}

std::optional<Cid> build_tree(const Records& records, int layer, std::vector<Block>& blocks) {
  if (records.empty()) return std::nullopt;
  std::optional<Cid> left;
  std::vector<json> entries;
  Records below;
  std::string last;
  const auto close = [&] {
    const auto subtree = build_tree(below, layer - 1, blocks);
    below.clear();
    if (subtree && entries.empty()) left = subtree;
    if (subtree && !entries.empty()) entries.back()["t"] = link(*subtree);
  };
  for (const auto& [key, record] : records) {
    if (layer_of(key) < layer) {
      below.emplace_back(key, record);
      continue;
    }
    close();
    const auto differ = std::mismatch(key.begin(), key.end(), last.begin(), last.end()).first;
    const auto shared = static_cast<std::size_t>(differ - key.begin());
    entries.push_back(entry(key.substr(shared), shared, record));
    last = key;
  }
  close();
  blocks.push_back(block_of(node(entries, left)));
  return blocks.back().cid;
}

}  // namespace

std::vector<Block> repo_blocks(const std::map<std::string, json>& records) {
  std::vector<Block> blocks;
  Records keys;
  int top = 0;
  for (const auto& [key, value] : records) {
    blocks.push_back(block_of(value));
    keys.emplace_back(key, blocks.back().cid);
    top = std::max(top, layer_of(key));
  }
  auto root = build_tree(keys, top, blocks);
  if (!root) {
    blocks.push_back(block_of(node({})));
    root = blocks.back().cid;
  }
  blocks.push_back(block_of(commit(*root)));
  return blocks;
}

std::string repo_car(const std::map<std::string, json>& records) {
  const auto blocks = repo_blocks(records);
  return car(blocks.back().cid, blocks);
}

json post(std::string_view text, std::string_view created) {
  return {{"$type", "app.bsky.feed.post"}, {"text", text}, {"createdAt", created}};
}

}  // namespace bobby::data
