#include "cli/stream_view.h"

#include <gtest/gtest.h>

namespace bobby::cli {
namespace {

class StreamViewTest : public testing::Test {
 protected:
  std::string shown_;
  StreamView view_{[this](std::string_view text) { shown_ += text; }};
};

TEST_F(StreamViewTest, OnePostIsShownAsItComes) {
  view_.add(0, 0, "good");
  EXPECT_EQ(shown_, "[1] good");
  view_.add(0, 0, " morning");
  view_.finish();
  EXPECT_EQ(shown_, "[1] good morning\n");
}

TEST_F(StreamViewTest, PostsSideBySideAreShownOneAfterTheOther) {
  for (int step = 0; step < 3; ++step) {
    view_.add(0, 0, "a");
    view_.add(1, 0, "b");
  }
  EXPECT_EQ(shown_, "[1] aaa");
  view_.finish();
  EXPECT_EQ(shown_, "[1] aaa\n[2] bbb\n");
}

TEST_F(StreamViewTest, TheNextIsLiveOnceTheFirstHasEnded) {
  view_.add(0, 0, "a");
  for (int step = 0; step < 40; ++step) view_.add(1, 0, "b");
  EXPECT_EQ(shown_, "[1] a\n[2] " + std::string(40, 'b'));
  view_.finish();
}

TEST_F(StreamViewTest, AFurtherTrySaysSo) {
  view_.add(0, 0, "a");
  view_.add(0, 1, "c");
  view_.finish();
  EXPECT_EQ(shown_, "[1] a\n[1, try 2] c\n");
}

TEST_F(StreamViewTest, NothingShownIsNothing) {
  view_.finish();
  EXPECT_EQ(shown_, "");
}

}  // namespace
}  // namespace bobby::cli
