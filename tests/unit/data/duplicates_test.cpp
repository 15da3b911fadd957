#include "data/duplicates.h"

#include <numeric>

#include "data_fixture.h"
#include "voice/shingles.h"

namespace bobby::data {
namespace {

using namespace testing;

DuplicateGroups groups_of(const std::vector<std::string>& texts, double near = 0.8) {
  Folder folder;
  auto finder = DuplicateFinder::create(folder.path(), near);
  EXPECT_TRUE(finder);
  for (const std::string& text : texts) EXPECT_TRUE(finder->add(text));
  auto groups =
      finder->groups([&](std::size_t text) -> Result<std::string> { return texts[text]; }, {});
  EXPECT_TRUE(groups);
  return *groups;
}

const std::string kText =
    "The kettle sings before the house is awake, and I let it sing a while longer";

TEST(Duplicates, EqualTextsPointToTheFirst) {
  const auto groups = groups_of({"a text", "another text", "a text", "a text."}, 0);
  EXPECT_EQ(groups.same, (std::vector<std::uint32_t>{0, 1, 0, 3}));
  EXPECT_EQ(groups.near, groups.same);
}

TEST(Duplicates, NearTextsDifferInCaseSignsOrAWord) {
  const auto groups = groups_of({
      kText,
      "The rain has nothing to say to the roof that the roof has not heard before now",
      "THE KETTLE SINGS before the house is awake... and I let it sing a while longer!",
      kText + " https://example.org/post",
      "The kettle sings before the house is awake, and I let it sing a while",
      kText,
  });
  EXPECT_EQ(groups.same, (std::vector<std::uint32_t>{0, 1, 2, 3, 4, 0}));
  EXPECT_EQ(groups.near, (std::vector<std::uint32_t>{0, 1, 0, 0, 0, 0}));
}

TEST(Duplicates, TextsWithoutWordsAreOnlyEqual) {
  EXPECT_EQ(groups_of({"\U0001F600", "\U0001F601", "\U0001F600"}).near,
            (std::vector<std::uint32_t>{0, 1, 0}));
}

TEST(Duplicates, OfManyPairsAlmostAllAreFound) {
  // Twenty words each; the copy of each has its last word changed, which is a similarity of some
  // 0.9.
  std::vector<std::string> texts;
  std::uint64_t state = 1;
  const auto word = [&] {
    std::string letters;
    for (int i = 0; i < 5; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      letters += static_cast<char>('a' + (state >> 33) % 26);
    }
    return letters;
  };
  constexpr std::size_t kPairs = 500;
  for (std::size_t i = 0; i < kPairs; ++i) {
    std::string text;
    for (int j = 0; j < 19; ++j) text += word() + " ";
    texts.push_back(text + word());
    texts.push_back(text + word());
    EXPECT_GT(similarity(shingles(texts[2 * i]), shingles(texts[2 * i + 1])), 0.8);
  }
  const auto groups = groups_of(texts);
  std::size_t found = 0;
  for (std::size_t i = 0; i < kPairs; ++i) {
    EXPECT_EQ(groups.near[2 * i], 2 * i) << "texts of two pairs are not alike";
    found += groups.near[2 * i + 1] == 2 * i ? 1 : 0;
  }
  EXPECT_GE(found, kPairs - 1) << "a pair is missed with a chance of 1 in 5000 at most";
}

TEST(Duplicates, ManyTextsOfOneFormAreOneGroupInGoodTime) {
  std::vector<std::string> texts;
  for (int i = 0; i < 20000; ++i)
    texts.push_back(
        "Good morning to everybody who is up with the sun and the birds today, number " +
        std::to_string(i));
  const auto groups = groups_of(texts);
  EXPECT_EQ(std::accumulate(groups.near.begin(), groups.near.end(), 0u), 0u);
}

TEST(Shingles, SimilarityIsAShareOfWhatIsInEither) {
  EXPECT_EQ(similarity(shingles("abcdef"), shingles("abcdef")), 1.0);
  EXPECT_EQ(similarity(shingles("abcdef"), shingles("ABCDEF!")), 1.0);
  EXPECT_EQ(similarity(shingles("abcdef"), shingles("abcdeg")), 1.0 / 3.0);
  EXPECT_EQ(similarity(shingles("abc"), shingles("abd")), 0.0);
  EXPECT_TRUE(shingles("...").empty());
  EXPECT_EQ(shingles("ab").size(), 1u);
}

}  // namespace
}  // namespace bobby::data
