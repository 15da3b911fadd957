#include "data/bluesky/repo_tree.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

#include "data/bluesky/dag_cbor.h"

namespace bobby::data {
namespace {

// A key's layer is half the zero bits that its SHA-256 begins with.
constexpr int kDeepestLayer = 128;
// Entries of the nodes between the root and where the walk stands: a hundred megabytes of them.
constexpr std::size_t kMostOpenEntries = std::size_t{1} << 20;
constexpr std::size_t kLongestKey = 1024;
constexpr std::size_t kLongestDid = 2048;

struct Entry {
  std::string key;
  Cid record;
  std::optional<Cid> right;  // what stands between this key and the next
};

struct Node {
  std::optional<Cid> left;
  std::vector<Entry> entries;
};

tl::unexpected<Error> malformed(const Cid& node, std::string_view what) {
  return fail({.code = ErrorCode::kMalformed,
               .where = fmt::format("tree node {}", node.to_string()),
               .problem = std::string(what)});
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// COLLECTION/RECORD, in AT Protocol's alphabets.
bool is_record_key(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (key.size() > kLongestKey || slash == 0 || slash >= key.size() - 1) return false;
  const std::string_view collection = key.substr(0, slash);
  const std::string_view record = key.substr(slash + 1);
  const auto fits = [](std::string_view text, std::string_view others) {
    return std::all_of(text.begin(), text.end(), [&](char c) {
      return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
    });
  };
  return fits(collection, ".-") && fits(record, "_~.:-") && record != "." && record != "..";
}

// A link that may be null or absent; nothing when it is something else.
std::optional<std::optional<Cid>> optional_link(const nlohmann::json& object,
                                                std::string_view key) {
  const nlohmann::json* value = find_value(object, key);
  if (value == nullptr || value->is_null()) return std::optional<Cid>();
  const auto link = link_of(*value);
  if (!link) return std::nullopt;
  return link;
}

Result<Node> read_node(const Cid& cid, Bytes block) {
  auto value = decode_dag_cbor(block);
  if (!value)
    return fail(std::move(value).error().in(fmt::format("tree node {}", cid.to_string())));
  const nlohmann::json* entries = find_value(*value, "e");
  const auto left = optional_link(*value, "l");
  if (entries == nullptr || !entries->is_array() || !left)
    return malformed(cid, "is no node: it has no list 'e', or 'l' is no link");
  Node node{.left = *left, .entries = {}};
  std::string key;
  for (const nlohmann::json& entry : *entries) {
    const auto shared = find_unsigned(entry, "p");
    const nlohmann::json::binary_t* rest = find_bytes(entry, "k");
    const auto record = find_link(entry, "v");
    const auto right = optional_link(entry, "t");
    if (!shared || rest == nullptr || !record || !right)
      return malformed(cid, "has an entry whose 'p', 'k', 'v' or 't' is missing or wrong");
    if (*shared > key.size())
      return malformed(cid, "has an entry that shares more with the key before than that has");
    key.resize(static_cast<std::size_t>(*shared));
    key.append(reinterpret_cast<const char*>(rest->data()), rest->size());
    if (!is_record_key(key)) return malformed(cid, "has a key that is not COLLECTION/RECORD");
    node.entries.push_back({.key = key, .record = *record, .right = *right});
  }
  return node;
}

class Walk {
 public:
  Walk(const BlockReader& blocks, const RecordVisitor& visit) : blocks_(blocks), visit_(visit) {}

  Result<void> tree(const Cid& cid, int depth) {
    if (depth > kDeepestLayer)
      return fail({.code = ErrorCode::kLimit,
                   .where = fmt::format("tree node {}", cid.to_string()),
                   .problem = fmt::format("stands more than {} layers deep", kDeepestLayer),
                   .hint = "the tree is forged"});
    BOBBY_TRY(const Bytes block, blocks_(cid));
    BOBBY_TRY(const Node node, read_node(cid, block));
    open_entries_ += node.entries.size();
    if (open_entries_ > kMostOpenEntries)
      return fail({.code = ErrorCode::kLimit,
                   .where = fmt::format("tree node {}", cid.to_string()),
                   .problem = "has too many entries, with the nodes above it"});
    // Without this, nodes that hold nothing could be met again and again.
    if (depth > 0 && node.entries.empty() && !node.left)
      return malformed(cid, "holds nothing, and is not the root");
    if (node.left) BOBBY_CHECK(tree(*node.left, depth + 1));
    for (const Entry& entry : node.entries) {
      if (entry.key <= last_key_)
        return malformed(cid, fmt::format("has the key '{}' after '{}': out of order, or twice",
                                          entry.key, last_key_));
      last_key_ = entry.key;
      BOBBY_CHECK(visit_(entry.key, entry.record));
      if (entry.right) BOBBY_CHECK(tree(*entry.right, depth + 1));
    }
    open_entries_ -= node.entries.size();
    return {};
  }

 private:
  const BlockReader& blocks_;
  const RecordVisitor& visit_;
  std::string last_key_;
  std::size_t open_entries_ = 0;
};

}  // namespace

Result<Commit> read_commit(Bytes block) {
  BOBBY_TRY(const nlohmann::json value, decode_dag_cbor(block));
  const auto version = find_unsigned(value, "version");
  if (version && *version != 2 && *version != 3)
    return fail({.code = ErrorCode::kUnsupported,
                 .problem = "is a commit of another version",
                 .expected = "2 or 3",
                 .found = std::to_string(*version)});
  const std::string* did = find_text(value, "did");
  const auto tree = find_link(value, "data");
  if (!version || did == nullptr || !did->starts_with("did:") || did->size() > kLongestDid || !tree)
    return fail({.code = ErrorCode::kMalformed,
                 .problem = "is no commit of a repository",
                 .expected = "'version', 'did' and 'data'"});
  const std::string* revision = find_text(value, "rev");
  return Commit{
      .did = *did, .revision = revision == nullptr ? std::string() : *revision, .tree = *tree};
}

Result<void> walk_records(const Cid& root, const BlockReader& blocks, const RecordVisitor& visit) {
  return Walk(blocks, visit).tree(root, 0);
}

}  // namespace bobby::data
