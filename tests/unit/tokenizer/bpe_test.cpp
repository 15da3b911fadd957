#include "tokenizer/bpe.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>

namespace bobby::detail {
namespace {

/// Letters 'a' to 'd' and random merges of what is there already.
struct RandomModel {
  explicit RandomModel(unsigned seed) : random(seed) {
    for (const char letter : {'a', 'b', 'c', 'd'}) add(std::string(1, letter));
    for (int i = 0; i < 60; ++i) {
      const auto pick = [&] { return static_cast<std::int32_t>(random() % texts.size()); };
      const std::int32_t left = pick();
      const std::int32_t right = pick();
      const std::string text =
          texts[static_cast<std::size_t>(left)] + texts[static_cast<std::size_t>(right)];
      if (ids.contains(text) || text.size() > 12) continue;
      merges.push_back({left, right, add(text)});
    }
  }

  std::int32_t add(const std::string& text) {
    const auto id = static_cast<std::int32_t>(texts.size());
    texts.push_back(text);
    return ids[text] = id;
  }

  Bpe build(Bpe::Options options) const {
    Vocabulary vocabulary;
    for (std::size_t i = 0; i < texts.size(); ++i)
      EXPECT_TRUE(vocabulary.add(texts[i], static_cast<std::int32_t>(i)));
    EXPECT_EQ(vocabulary.index(), -1);
    Bpe bpe(std::move(vocabulary), options);
    bpe.add_merges(merges);
    return bpe;
  }

  /// The definition, with nothing clever: the first pair of lowest rank, again and again.
  std::vector<std::int32_t> encode(const std::string& word) const {
    std::vector<std::int32_t> symbols;
    for (const char c : word) symbols.push_back(ids.at(std::string(1, c)));
    for (bool changed = true; changed;) {
      changed = false;
      for (const Bpe::NewMerge& merge : merges) {
        for (std::size_t i = 0; i + 1 < symbols.size() && !changed; ++i) {
          if (symbols[i] != merge.left || symbols[i + 1] != merge.right) continue;
          symbols[i] = merge.merged;
          symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
          changed = true;
        }
        if (changed) break;
      }
    }
    return symbols;
  }

  std::mt19937 random;
  std::vector<std::string> texts;
  std::map<std::string, std::int32_t> ids;
  std::vector<Bpe::NewMerge> merges;
};

TEST(Bpe, MergesAsTheDefinitionDoes) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    RandomModel model(seed);
    const Bpe bpe = model.build({});
    Bpe::Encoder encoder(bpe);
    // Lengths on both sides of where the algorithm changes.
    for (const int length : {1, 2, 3, 5, 8, 13, 30, 63, 64, 65, 66, 130, 300}) {
      for (int repeat = 0; repeat < 8; ++repeat) {
        std::string word;
        for (int i = 0; i < length; ++i) word += static_cast<char>('a' + model.random() % 4);
        std::vector<std::int32_t> ids;
        encoder.append(word, ids);
        EXPECT_EQ(ids, model.encode(word)) << "seed " << seed << ", " << word;
        ids.clear();
        encoder.append(word, ids);  // a second time: what was learnt about the word is right
        EXPECT_EQ(ids, model.encode(word)) << "seed " << seed << ", " << word;
      }
    }
  }
}

TEST(Bpe, ALongRunTakesNoQuadraticTime) {
  RandomModel model(1);
  const Bpe bpe = model.build({});
  std::vector<std::int32_t> ids;
  Bpe::Encoder(bpe).append(std::string(1'000'000, 'a'), ids);
  std::string text;
  for (const std::int32_t id : ids) text += bpe.vocabulary().bytes(id);
  EXPECT_EQ(text, std::string(1'000'000, 'a'));
}

std::vector<std::int32_t> encode(const Bpe& bpe, const std::string& word) {
  std::vector<std::int32_t> ids;
  Bpe::Encoder(bpe).append(word, ids);
  return ids;
}

/// "a" "b" "ab", and "aba" without a merge that leads to it.
Bpe small(Bpe::Options options) {
  Vocabulary vocabulary;
  int id = 0;
  for (const char* token : {"a", "b", "ab", "aba", "?"}) vocabulary.add(token, id++);
  vocabulary.index();
  Bpe bpe(std::move(vocabulary), options);
  const Bpe::NewMerge merges[] = {{0, 1, 2}};
  bpe.add_merges(merges);
  return bpe;
}

using Ids = std::vector<std::int32_t>;

TEST(Bpe, ATokenThatNoMergeLeadsToNeedsIgnoreMerges) {
  EXPECT_EQ(encode(small({}), "aba"), (Ids{2, 0}));
  EXPECT_EQ(encode(small({.ignore_merges = true}), "aba"), (Ids{3}));
}

TEST(Bpe, UnknownBytesAreDroppedOrBecomeTheUnknownToken) {
  EXPECT_EQ(encode(small({}), "axxb"), (Ids{2}));  // and what they parted is neighbours then
  EXPECT_EQ(encode(small({.unk_id = 4}), "axxb"), (Ids{0, 4, 4, 1}));
  EXPECT_EQ(encode(small({.unk_id = 4, .fuse_unk = true}), "axxbx"), (Ids{0, 4, 1, 4}));
}

TEST(Bpe, ALaterMergeOfAPairReplacesTheEarlier) {
  Vocabulary vocabulary;
  int id = 0;
  for (const char* token : {"a", "b", "c", "ab", "bc"}) vocabulary.add(token, id++);
  vocabulary.index();
  Bpe bpe(std::move(vocabulary), {});
  const Bpe::NewMerge merges[] = {{0, 1, 3}, {1, 2, 4}, {0, 1, 3}};
  bpe.add_merges(merges);
  EXPECT_EQ(encode(bpe, "abc"), (Ids{0, 4}));
}

}  // namespace
}  // namespace bobby::detail
