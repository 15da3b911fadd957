#include "generation/stop_rules.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace bobby {
namespace {

using Pieces = std::vector<std::string>;

struct Case {
  const char* what;
  Pieces stops;
  Pieces pieces;
  Pieces shown;  // after each piece
  std::string rest;
  bool stopped;
};

TEST(StopStrings, HoldBackWhatMayBeAStop) {
  const std::vector<Case> cases = {
      {"no stops", {}, {"a", "b"}, {"a", "b"}, "", false},
      {"empty stops are ignored", {""}, {"a"}, {"a"}, "", false},
      {"in one piece", {"END"}, {"textENDmore"}, {"text"}, "", true},
      {"at the beginning", {"END"}, {"END"}, {""}, "", true},
      {"across pieces", {"END"}, {"aE", "N", "Db"}, {"a", "", ""}, "", true},
      {"begun in vain", {"END"}, {"aE", "N", "x"}, {"a", "", "ENx"}, "", false},
      {"begun at the very end", {"END"}, {"aEN"}, {"a"}, "EN", false},
      {"its own beginning inside", {"aab"}, {"a", "a", "a", "b"}, {"", "", "a", ""}, "", true},
      {"the first of two in the text", {"two", "one"}, {"x one two"}, {"x "}, "", true},
      {"one holds back longer than the other", {"bc", "abcd"}, {"ab", "ce"}, {"", "a"}, "", true},
      {"a line end", {"\n\n"}, {"a\n", "b\n", "\nc"}, {"a", "\nb", ""}, "", true},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    StopStrings stops(each.stops);
    Pieces shown;
    for (const std::string& piece : each.pieces) shown.push_back(stops.push(piece));
    EXPECT_EQ(shown, each.shown);
    EXPECT_EQ(stops.stopped(), each.stopped);
    EXPECT_EQ(stops.finish(), each.rest);
  }
}

TEST(StopStrings, SayNothingAfterAStop) {
  StopStrings stops({"."});
  EXPECT_EQ(stops.push("a.b"), "a");
  EXPECT_EQ(stops.push("c"), "");
  EXPECT_EQ(stops.finish(), "");
}

}  // namespace
}  // namespace bobby
