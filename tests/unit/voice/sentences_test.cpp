#include "voice/sentences.h"

#include <gtest/gtest.h>

namespace bobby {
namespace {

TEST(Sentences, EndWithATerminatorAndWhatClosesAfterIt) {
  for (const char* text : {"Done.", "Really?", "Yes! ", "He said \"no.\"", "(so be it.)",
                           "そうだ。", "…", "Wait… ", "“Fine.”"})
    EXPECT_TRUE(ends_sentence(text)) << text;
  for (const char* text : {"", " ", "and then", "3.5", "\"", "so,", "Mr. X", ".a", "end:"})
    EXPECT_FALSE(ends_sentence(text)) << text;
}

}  // namespace
}  // namespace bobby
