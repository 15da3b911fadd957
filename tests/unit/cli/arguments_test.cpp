#include "cli/arguments.h"

#include <gtest/gtest.h>
#include <set>

namespace bobby::cli {
namespace {

TEST(Arguments, TakesOptionsInEveryUsualSpelling) {
  const auto parsed = parse_arguments(kPost, {"3", "--seed=7", "-n", "2", "-vq", "--greedy",
                                              "write this", "--adapter", "a", "--adapter", "b:2"});
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->arguments, (std::vector<std::string>{"3", "write this"}));
  EXPECT_EQ(parsed->flags.at(Opt::kSeed), std::vector<std::string>{"7"});
  EXPECT_EQ(parsed->flags.at(Opt::kCount), std::vector<std::string>{"2"});
  EXPECT_EQ(parsed->flags.at(Opt::kVerbose), std::vector<std::string>{"true"});
  EXPECT_EQ(parsed->flags.at(Opt::kQuiet), std::vector<std::string>{"true"});
  EXPECT_EQ(parsed->flags.at(Opt::kAdapter), (std::vector<std::string>{"a", "b:2"}));
}

TEST(Arguments, AFlagCanBeTurnedOff) {
  const auto parsed = parse_arguments(kPost, {"--greedy=false"});
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->flags.at(Opt::kGreedy), std::vector<std::string>{"false"});
}

TEST(Arguments, WhatFollowsTwoDashesIsNoOption) {
  const auto parsed = parse_arguments(kPost, {"--", "--really"});
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->arguments, std::vector<std::string>{"--really"});
}

TEST(Arguments, ANegativeNumberIsAValue) {
  const auto parsed = parse_arguments(kPost, {"--temperature", "-1"});
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->flags.at(Opt::kTemperature), std::vector<std::string>{"-1"});
}

TEST(Arguments, AnOptionTakesOneValueAndLeavesTheRest) {
  const auto parsed = parse_arguments(kPost, {"--adapter", "a", "5", "prompt"});
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->flags.at(Opt::kAdapter), std::vector<std::string>{"a"});
  EXPECT_EQ(parsed->arguments, (std::vector<std::string>{"5", "prompt"}));
}

TEST(Commands, NoTwoOptionsOfOneShareANameOrLetter) {
  for (const Command* command : all_commands()) {
    std::set<std::string_view> names;
    std::set<char> letters = {'h'};
    for (const Opt id : options_of(*command)) {
      EXPECT_TRUE(names.insert(option(id).name).second)
          << command->full_name() << " --" << option(id).name;
      if (option(id).letter != '\0') {
        EXPECT_TRUE(letters.insert(option(id).letter).second)
            << command->full_name() << " -" << option(id).letter;
      }
    }
  }
}

TEST(Commands, EachOptionBelongsToACommand) {
  std::set<Opt> used;
  for (const Command* command : all_commands())
    for (const Opt id : options_of(*command)) used.insert(id);
  EXPECT_EQ(used.size(), all_options().size());
}

}  // namespace
}  // namespace bobby::cli
