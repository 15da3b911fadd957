#include "bot/novelty.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <sstream>

#include "base/random.h"
#include "bot/archive_posts.h"

namespace bobby::bot {
namespace {

const Source kDraft{.kind = SourceKind::kDraft, .id = "12"};
const Source kPost{.kind = SourceKind::kPost, .id = "at://x/1"};
constexpr std::string_view kCoffee =
    "Every morning I tell myself that one coffee is enough, and every morning I am wrong about it.";

TEST(Novelty, Kinds) {
  NoveltyIndex index({.near = 0.7, .copied_words = 10});
  index.add(kDraft, kCoffee);
  index.add(kPost, "The train was late again, which gave me time to finish the book.");
  struct Case {
    std::string_view text;
    NoveltyKind kind;
    std::size_t words;  // longest run in common
  };
  const std::vector<Case> cases = {
      {"every MORNING i tell myself: that one coff\u00E9e is enough - and every morning I am wrong "
       "about it https://example.org",
       NoveltyKind::kExact, 18},
      {"Every morning I tell myself that two coffees are enough, and every morning I am wrong "
       "about "
       "it.",
       NoveltyKind::kNew, 9},
      {"Every morning I tell myself that one coffee is enough, and every evening I am wrong about "
       "it.",
       NoveltyKind::kNear, 12},
      {"Nobody asked, but one coffee is enough, and every morning I am wrong elsewhere.",
       NoveltyKind::kCopied, 10},
      {"Rain on the roof, a lamp, nothing to do.", NoveltyKind::kNew, 1},
      {"Nothing alike whatsoever", NoveltyKind::kNew, 0},
      {"", NoveltyKind::kNew, 0},
      {"\U0001F600", NoveltyKind::kNew, 0},
  };
  for (const Case& c : cases) {
    const NoveltyReport report = index.check(c.text);
    EXPECT_EQ(name_of(report.kind), name_of(c.kind)) << c.text << ": " << report.to_string();
    EXPECT_EQ(report.ngram_words, c.words) << c.text << ": " << report.to_string();
  }
}

TEST(Novelty, ReportsSayWhere) {
  NoveltyIndex index;
  index.add(kPost, "it is what it is");
  index.add(kDraft, kCoffee);
  EXPECT_EQ(index.check(kCoffee).to_string(),
            "exact: the same as draft 12; 18 words in a row as in draft 12: \"every morning i tell "
            "myself that one coffee is enough and every morning i am wrong about it\"");
  EXPECT_EQ(index.check("So it is, don't ask.").to_string(),
            "new: 2 words in a row as in post at://x/1: \"it is\"");
  EXPECT_EQ(index.check("zzz").to_string(), "new");
}

TEST(Novelty, ADraftIsNotComparedWithItself) {
  NoveltyIndex index;
  index.add(kDraft, kCoffee);
  EXPECT_EQ(index.check(kCoffee, &kDraft).kind, NoveltyKind::kNew);
  EXPECT_EQ(index.check(kCoffee, &kDraft).ngram_words, 0u);
  index.add(kPost, kCoffee);
  const NoveltyReport report = index.check(kCoffee, &kDraft);
  EXPECT_EQ(report.kind, NoveltyKind::kExact);
  EXPECT_EQ(report.nearest, kPost);
  EXPECT_EQ(report.ngram_source, kPost);
}

TEST(Novelty, TextsWithoutWordsAreEqualWhereTheirBytesAre) {
  NoveltyIndex index;
  index.add(kDraft, "\U0001F600\U0001F600");
  EXPECT_EQ(index.check("\U0001F600\U0001F600").kind, NoveltyKind::kExact);
  EXPECT_EQ(index.check("\U0001F600").kind, NoveltyKind::kNew);
}

TEST(Novelty, ApostrophesPartNoWords) {
  NoveltyIndex index;
  index.add(kDraft, "I don\u2019t know");
  EXPECT_EQ(index.check("they don't know").ngram_words, 2u);
}

// A few words, so that texts have long runs in common.
std::vector<std::vector<std::string>> random_texts(std::uint32_t seed, int count) {
  std::vector<std::vector<std::string>> texts;
  for (int i = 0; i < count; ++i) {
    const auto row = static_cast<std::uint32_t>(i);
    const int length = static_cast<int>(uniform(seed, row, 0, 1) * 12);
    std::vector<std::string> words;
    for (int w = 0; w < length; ++w)
      words.push_back(std::string(
          1, static_cast<char>('a' + uniform(seed, row, static_cast<std::uint32_t>(w), 2) * 3)));
    texts.push_back(std::move(words));
  }
  return texts;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + " ";
  return text;
}

// By comparing all with all.
CommonWords::Run slow_longest(const std::vector<std::vector<std::string>>& texts, std::size_t count,
                              const std::vector<std::string>& words) {
  CommonWords::Run best;
  for (std::size_t text = 0; text < count; ++text)
    for (std::size_t i = 0; i < texts[text].size(); ++i)
      for (std::size_t j = 0; j < words.size(); ++j) {
        std::size_t length = 0;
        while (i + length < texts[text].size() && j + length < words.size() &&
               texts[text][i + length] == words[j + length])
          ++length;
        if (length > best.length)
          best = {.length = length, .text = static_cast<std::uint32_t>(text)};
      }
  return best;
}

TEST(CommonWords, FindsWhatComparingAllWithAllFinds) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const auto texts = random_texts(seed, 40);
    CommonWords index;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const CommonWords::Run found = index.longest(joined(texts[i]));
      const CommonWords::Run expected = slow_longest(texts, i, texts[i]);
      EXPECT_EQ(found.length, expected.length) << joined(texts[i]);
      EXPECT_EQ(found.text, expected.text) << joined(texts[i]);
      EXPECT_EQ(std::ranges::count(found.words, ' ') + (found.length > 0 ? 1 : 0),
                static_cast<std::ptrdiff_t>(found.length));
      index.add(joined(texts[i]));
    }
  }
}

TEST(ArchivePosts, ReadsEachFormOfATrainingSet) {
  std::istringstream lines(
      R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"first post"}]})"
      "\n\n"
      R"({"prompt":"p","completion":"second post"})"
      "\n"
      R"({"text":"third post"})"
      "\r\n");
  NoveltyIndex index;
  ASSERT_EQ(*add_archive(index, lines, "train.jsonl"), 3u);
  EXPECT_EQ(index.check("First post!").nearest.id, "train.jsonl:1");
  EXPECT_EQ(index.check("second post").nearest.id, "train.jsonl:3");
  EXPECT_EQ(index.check("third post").nearest.id, "train.jsonl:4");
}

TEST(ArchivePosts, RefusalsNameTheLine) {
  for (const std::string line :
       {"nonsense", "[]", "{}", "{\"text\":1}", "{\"messages\":[]}", "{\"messages\":[1]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "{\"text\":\"\xff\"}"}) {
    std::istringstream lines("{\"text\":\"a\"}\n" + line + "\n");
    NoveltyIndex index;
    const auto added = add_archive(index, lines, "t.jsonl");
    ASSERT_FALSE(added) << line;
    EXPECT_EQ(added.error().where, "t.jsonl:2");
  }
}

}  // namespace
}  // namespace bobby::bot
