#include "lora/json_object.h"

#include <gtest/gtest.h>

#include "unit/lora/edited_folder.h"

namespace bobby::testing {
namespace {

TEST(JsonObject, RefusesWhatIsNoObjectOfDistinctKeys) {
  const auto problem = [](std::string_view text) {
    return sentence(parse_json_object(text, "config.json"));
  };
  EXPECT_TRUE(mentions(problem("{"), "is not valid JSON"));
  EXPECT_TRUE(mentions(problem(""), "is not valid JSON"));
  EXPECT_TRUE(mentions(problem("[1]"), "is not a JSON object"));
  EXPECT_TRUE(mentions(problem(R"({"a": 1e999})"), "is not valid JSON"));
  EXPECT_TRUE(mentions(problem(R"({"a": 1, "b": {"c": 1, "c": 2}})"), "key 'c': stands twice"));
  EXPECT_EQ(problem(R"({"a": {"c": 1}, "b": {"c": 2}})"), "");
  EXPECT_TRUE(mentions(problem("{\"a\": \"\xff\xfe\"}"), "is not valid JSON"));
}

TEST(JsonObject, DeepNestingIsRefusedNotRecursedInto) {
  const std::string deep = R"({"a": )" + std::string(1'000'000, '[');
  EXPECT_FALSE(parse_json_object(deep, "x"));
  const std::string closed = R"({"a": )" + std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_TRUE(mentions(sentence(parse_json_object(closed + "}", "x")), "too deeply"));
}

TEST(JsonObject, ReportsEveryWrongKeyByName) {
  const auto json = parse_json_object(
      R"({"zero": 0, "big": 99999999999999999999, "text": "x", "flag": 1, "part": 2.5,
          "mixed": ["a", 1], "null": null, "tiny": 1e-60, "huge": 1e60})",
      "x.json");
  ASSERT_TRUE(json);
  std::vector<Error> problems;
  JsonObject object(*json, "x.json", problems);
  object.integer("zero", 1, 10);
  object.integer("big", 1, 10);
  object.integer("text", 1, 10);
  object.integer("part", 1, 10);
  object.integer("null", 1, 10);
  object.boolean("flag");
  object.strings("mixed");
  object.positive("tiny");
  object.number("huge");
  object.object("text");
  ASSERT_EQ(problems.size(), 10u);
  for (const Error& problem : problems)
    EXPECT_TRUE(mentions(problem.to_string(), "x.json: key '")) << problem.to_string();
  EXPECT_TRUE(mentions(problems[0].to_string(), "expected an integer in [1, 10], found 0"));
  EXPECT_TRUE(mentions(problems[4].to_string(), "is missing"));
}

TEST(JsonObject, FallbacksStandInForAbsentKeysOnly) {
  const auto json = parse_json_object(R"({"a": 7, "null": null})", "x.json");
  std::vector<Error> problems;
  JsonObject object(*json, "x.json", problems);
  EXPECT_EQ(object.integer("a", 0, 10, 3), 7);
  EXPECT_EQ(object.integer("null", 0, 10, 3), 3);
  EXPECT_EQ(object.integer("b", 0, 10, 3), 3);
  EXPECT_EQ(object.number("b", 2.5), 2.5);
  EXPECT_EQ(object.string("b", "x"), "x");
  EXPECT_EQ(object.integers("a", 0, 10), std::vector<std::int64_t>{7});
  EXPECT_TRUE(problems.empty());
}

}  // namespace
}  // namespace bobby::testing
