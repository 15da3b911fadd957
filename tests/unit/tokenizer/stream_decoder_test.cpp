#include <gtest/gtest.h>

#include "small_file.h"
#include "tokenizer/tokenizer.h"

namespace bobby {
namespace {

/// A token for each byte of "a😀é", in an alphabet where each byte is a character.
nlohmann::json byte_file() {
  auto file = small_file();
  // F0 9F 98 80 (😀), C3 A9 (é), FF
  file["model"]["vocab"] = {{"a", 0}, {"ð", 1}, {"Ł", 2}, {"ĺ", 3},
                            {"Ģ", 4}, {"Ã", 5}, {"©", 6}, {"ÿ", 7}};
  file["model"]["merges"] = nlohmann::json::array();
  file["added_tokens"][0]["id"] = 8;
  return file;
}

class StreamDecoderTest : public testing::Test {
 protected:
  Tokenizer tokenizer = Tokenizer::from_json(byte_file().dump(), "test").value();
};

TEST_F(StreamDecoderTest, HoldsBytesBackUntilTheyAreACodePoint) {
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0), "a");
  EXPECT_EQ(decoder.push(1), "");
  EXPECT_EQ(decoder.push(2), "");
  EXPECT_EQ(decoder.push(3), "");
  EXPECT_EQ(decoder.push(4), "😀");
  EXPECT_EQ(decoder.push(5), "");
  EXPECT_EQ(decoder.push(6), "é");
  EXPECT_EQ(decoder.finish(), "");
}

TEST_F(StreamDecoderTest, WhatCannotBeCompletedIsAReplacementCharacter) {
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(1), "");
  EXPECT_EQ(decoder.push(0), "\uFFFDa");
  EXPECT_EQ(decoder.push(7), "\uFFFD");
  EXPECT_EQ(decoder.push(5), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
}

TEST_F(StreamDecoderTest, SpecialTokensDoNotPartACodePointWhenSkipped) {
  StreamDecoder skipping(tokenizer, true);
  EXPECT_EQ(skipping.push(5), "");
  EXPECT_EQ(skipping.push(8), "");
  EXPECT_EQ(skipping.push(6), "é");
  StreamDecoder showing(tokenizer, false);
  EXPECT_EQ(showing.push(5), "");
  EXPECT_EQ(showing.push(8), "\uFFFD<end>");
}

TEST_F(StreamDecoderTest, UnknownIdsAddNothing) {
  StreamDecoder decoder(tokenizer);
  for (const std::int32_t id : {-1, 9, 1 << 30, INT32_MIN}) EXPECT_EQ(decoder.push(id), "");
  EXPECT_EQ(decoder.finish(), "");
}

}  // namespace
}  // namespace bobby
