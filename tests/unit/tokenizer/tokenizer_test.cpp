#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>
#include <thread>

#include "small_file.h"

namespace bobby {
namespace {

using Ids = std::vector<std::int32_t>;

Tokenizer small() {
  return Tokenizer::from_json(small_file().dump(), "test").value();
}

TEST(Tokenizer, EncodesWordsAndAddedTokens) {
  const Tokenizer tokenizer = small();
  EXPECT_EQ(tokenizer.encode("abc abc<end>ba"), (Ids{8, 9, 12, 1, 0}));
  EXPECT_EQ(tokenizer.encode(""), Ids{});
  EXPECT_EQ(tokenizer.encode("<end><end>"), (Ids{12, 12}));
}

TEST(Tokenizer, NormalizesFirst) {
  EXPECT_EQ(small().encode("e\u0301"), (Ids{10, 11}));  // é is C3 A9
}

TEST(Tokenizer, InvalidBytesAreReadAsReplacementCharacters) {
  auto file = small_file();
  file["model"]["vocab"]["ï"] = 12;  // EF BF BD
  file["model"]["vocab"]["¿"] = 13;
  file["model"]["vocab"]["½"] = 14;
  file["added_tokens"][0]["id"] = 15;
  const auto tokenizer = Tokenizer::from_json(file.dump(), "test");
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  EXPECT_EQ(tokenizer->encode("a\xFF"), (Ids{0, 12, 13, 14}));
}

TEST(Tokenizer, DecodesWithAndWithoutSpecialTokens) {
  const Tokenizer tokenizer = small();
  EXPECT_EQ(tokenizer.decode(Ids{8, 9, 12, 10, 11}), "abc abc<end>é");
  EXPECT_EQ(tokenizer.decode(Ids{8, 9, 12, 10, 11}, true), "abc abcé");
  EXPECT_EQ(tokenizer.decode(Ids{10, 0}), "\uFFFDa");
}

TEST(Tokenizer, AnIdThatIsNotThereIsAnErrorWithItsNumber) {
  const Tokenizer tokenizer = small();
  for (const std::int32_t id : {-1, 13, 1 << 30}) {
    const auto text = tokenizer.decode(Ids{0, id});
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, ErrorCode::kLimit);
    EXPECT_EQ(text.error().found, std::to_string(id));
    EXPECT_FALSE(tokenizer.token_bytes(id));
    EXPECT_FALSE(tokenizer.is_special(id));
  }
}

TEST(Tokenizer, NamesAndBytesOfTokens) {
  const Tokenizer tokenizer = small();
  EXPECT_EQ(tokenizer.vocab_size(), 13);
  EXPECT_EQ(tokenizer.token_to_id("Ġabc"), 9);
  EXPECT_EQ(tokenizer.token_to_id("<end>"), 12);
  EXPECT_EQ(tokenizer.token_to_id("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer.token_to_id("\xFF"), std::nullopt);
  EXPECT_EQ(tokenizer.token_bytes(9), " abc");
  EXPECT_EQ(tokenizer.token_bytes(10), "\xC3");
  EXPECT_TRUE(tokenizer.is_special(12));
  EXPECT_FALSE(tokenizer.is_special(9));
}

nlohmann::json with_token(nlohmann::json changes) {
  auto file = small_file();
  file["added_tokens"][0].update(changes);
  return file;
}

TEST(Tokenizer, AddedTokensTakeWhiteSpaceAsTheirFlagsSay) {
  const auto encode = [](nlohmann::json changes, std::string_view text) {
    return Tokenizer::from_json(with_token(changes).dump(), "test").value().encode(text);
  };
  EXPECT_EQ(encode(nlohmann::json::object(), "a <end> a"), (Ids{0, 6, 12, 6, 0}));
  EXPECT_EQ(encode({{"lstrip", true}}, "a \u3000<end> a"), (Ids{0, 12, 6, 0}));
  EXPECT_EQ(encode({{"rstrip", true}}, "a <end> \n a"), (Ids{0, 6, 12, 0}));
  EXPECT_EQ(encode({{"lstrip", true}, {"rstrip", true}}, "<end>  <end>"), (Ids{12, 12}));
  EXPECT_EQ(encode({{"single_word", true}, {"content", "fed"}}, "fed a fed,fedd _fed"),
            (Ids{12, 6, 0, 6, 12, 5, 4, 3, 3, 6, 5, 4, 3}));
}

TEST(Tokenizer, IsSafeToUseFromSeveralThreads) {
  const Tokenizer tokenizer = small();
  const Ids expected = tokenizer.encode("abc abc ab c<end>abcdef");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& count : wrong)
    threads.emplace_back([&tokenizer, &expected, &count] {
      for (int i = 0; i < 500; ++i)
        count += tokenizer.encode("abc abc ab c<end>abcdef") != expected;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

}  // namespace
}  // namespace bobby
