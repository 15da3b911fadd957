#include "generation/prefix_cache.h"

#include <algorithm>
#include <cassert>

namespace bobby::detail {

PrefixCache::PrefixCache(KvBlocks& blocks, std::int64_t block_tokens)
    : blocks_(blocks), block_tokens_(static_cast<std::size_t>(block_tokens)) {}

PrefixCache::~PrefixCache() = default;

std::vector<std::int32_t> PrefixCache::find(const std::string& voice,
                                            std::span<const std::int32_t> tokens) {
  std::vector<std::int32_t> found;
  const auto root = voices_.find(voice);
  if (root == voices_.end()) return found;
  Node* node = &root->second;
  for (; tokens.size() >= block_tokens_; tokens = tokens.subspan(block_tokens_)) {
    const auto child = node->children.find({tokens.begin(), tokens.begin() + block_tokens_});
    if (child == node->children.end()) break;
    node = child->second.get();
    touch(*node);
    found.push_back(node->block);
  }
  blocks_.share(found);
  return found;
}

void PrefixCache::insert(const std::string& voice, std::span<const std::int32_t> tokens,
                         std::span<const std::int32_t> blocks) {
  assert(tokens.size() == blocks.size() * block_tokens_);
  Node* node = &voices_[voice];
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i * block_tokens_);
    auto& child = node->children[{begin, begin + static_cast<std::ptrdiff_t>(block_tokens_)}];
    if (!child) {
      if (node->block >= 0) leaves_.erase({node->used, node});
      child = std::make_unique<Node>();
      child->parent = node;
      child->tokens.assign(begin, begin + static_cast<std::ptrdiff_t>(block_tokens_));
      child->block = blocks[i];
      blocks_.share(blocks.subspan(i, 1));
      ++size_;
    }
    node = child.get();
    touch(*node);
  }
}

bool PrefixCache::evict_one() {
  const auto victim = std::find_if(leaves_.begin(), leaves_.end(), [&](const auto& leaf) {
    return blocks_.owners(leaf.second->block) == 1;
  });
  if (victim == leaves_.end()) return false;
  drop(*victim->second);
  return true;
}

std::int64_t PrefixCache::evictable() const {
  // Whoever uses a block uses those before it, so what nobody uses is whole branches.
  std::int64_t count = 0;
  std::vector<const Node*> open;
  for (const auto& [voice, root] : voices_) open.push_back(&root);
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (node->block >= 0 && blocks_.owners(node->block) == 1) ++count;
    for (const auto& [tokens, child] : node->children) open.push_back(child.get());
  }
  return count;
}

PrefixList PrefixCache::list(std::vector<std::int32_t>& blocks) const {
  PrefixList list;
  std::map<const Node*, std::int32_t> voices;  // by their roots
  for (const auto& [voice, root] : voices_) {
    voices[&root] = static_cast<std::int32_t>(list.voices.size());
    list.voices.push_back(voice);
  }
  std::map<const Node*, std::int32_t> listed;
  for (auto leaf = leaves_.rbegin(); leaf != leaves_.rend(); ++leaf) {
    std::vector<const Node*> path;  // from the leaf to what is listed already, or to its root
    const Node* node = leaf->second;
    for (; node->block >= 0 && !listed.contains(node); node = node->parent) path.push_back(node);
    std::int32_t parent = node->block >= 0 ? listed[node] : -1;
    const std::int32_t voice =
        parent >= 0 ? list.blocks[static_cast<std::size_t>(parent)].voice : voices[node];
    for (auto next = path.rbegin(); next != path.rend(); ++next) {
      list.blocks.push_back({.parent = parent, .voice = voice, .tokens = (*next)->tokens});
      blocks.push_back((*next)->block);
      parent = listed[*next] = static_cast<std::int32_t>(list.blocks.size()) - 1;
    }
  }
  return list;
}

void PrefixCache::touch(Node& node) {
  if (node.children.empty()) leaves_.erase({node.used, &node});
  node.used = ++clock_;
  if (node.children.empty()) leaves_.insert({node.used, &node});
}

void PrefixCache::drop(Node& leaf) {
  assert(leaf.children.empty());
  blocks_.release({&leaf.block, 1});
  leaves_.erase({leaf.used, &leaf});
  --size_;
  Node* parent = leaf.parent;
  const std::vector<std::int32_t> tokens = leaf.tokens;
  parent->children.erase(tokens);
  if (!parent->children.empty()) return;
  if (parent->block >= 0) {
    leaves_.insert({parent->used, parent});
    return;
  }
  std::erase_if(voices_, [&](const auto& voice) { return &voice.second == parent; });
}

}  // namespace bobby::detail
