// The numbers and the warnings of a training set.

#include "data/inspect/inspect.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <span>

#include "base/sha256.h"
#include "files.h"

namespace bobby::inspection {
namespace {

std::vector<std::string> different(int count, int begin = 0) {
  std::vector<std::string> texts;
  for (int i = begin; i < begin + count; ++i) {
    const std::string name = fmt::format("{}", i);
    const std::string hash = sha256_hex(std::as_bytes(std::span(name)));
    texts.push_back(hash.substr(0, 20) + " " + hash.substr(20, 20));
  }
  return texts;
}

TEST(Inspect, CharactersAreCodePointsAndGraphemesWhatAReaderCounts) {
  const Report report = report_of({file_of("train.jsonl", {"e\u0301👩‍👩‍👧"})});
  EXPECT_EQ(report.splits[0].characters.most, 7);
  EXPECT_EQ(report.splits[0].graphemes.most, 2);
}

TEST(Inspect, TokensCutAndTrainedAreCounted) {
  InspectOptions options{.max_seq_length = 12, .tokens = byte_tokens()};
  // 5 of the prompt, then the answer and its end.
  const Report report =
      report_of({file_of("train.jsonl", {"abc", "abcdefghij", "refuse me"}, "write")}, options);
  const TokenReport& tokens = *report.splits[0].tokens;
  EXPECT_EQ(tokens.all.count, 2);
  EXPECT_EQ(tokens.all.total, 9 + 16);
  EXPECT_EQ(tokens.trained.total, 4 + 7);
  EXPECT_EQ(tokens.cut_records, 1);
  EXPECT_EQ(tokens.cut_tokens, 4);
  EXPECT_EQ(tokens.refused, 1);
  EXPECT_EQ(tokens.untrained, 0);
  const Warning* cut = warning(report, "cut");
  ASSERT_NE(cut, nullptr);
  EXPECT_EQ(cut->text,
            "50% of train.jsonl are cut at 12 tokens (1 record): what comes after is not learned.");
  EXPECT_EQ(cut->places, (std::vector<RecordPlace>{{0, 2}}));
  ASSERT_NE(warning(report, "refused"), nullptr);
  EXPECT_NE(warning(report, "refused")->text.find("answer: holds a marker"), std::string::npos);
}

TEST(Inspect, APromptThatFillsARecordLeavesNothingToTrain) {
  InspectOptions options{.max_seq_length = 8, .tokens = byte_tokens()};
  const Report report =
      report_of({file_of("train.jsonl", {"one", "two", "three"}, "a long prompt")}, options);
  EXPECT_EQ(report.splits[0].tokens->untrained, 3);
  ASSERT_NE(warning(report, "untrained"), nullptr);
  EXPECT_EQ(warning(report, "untrained")->text,
            "The prompt is masked: 0 tokens are trained in 3 records of train.jsonl.");
}

TEST(Inspect, RepeatsAreToldWithinAndBetween) {
  std::vector<std::string> train = different(200);
  const std::string sentence =
      "The kettle has opinions about Mondays and I respect every one of them";
  train.push_back(train[3]);
  train.push_back(sentence + ".");
  std::vector<std::string> valid = different(40, 1000);
  valid.push_back(train[7]);
  valid.push_back(train[8]);
  valid.push_back(sentence + "!!");
  const Report report = report_of({file_of("train.jsonl", train), file_of("valid.jsonl", valid)});
  EXPECT_EQ(report.exact.within, (std::vector<std::int64_t>{1, 0}));
  EXPECT_EQ(report.exact.between[1][0], 2);
  EXPECT_EQ(report.near.between[1][0], 1);
  EXPECT_EQ(report.near.total_within(), 0);
  ASSERT_NE(warning(report, "leak_exact"), nullptr);
  EXPECT_EQ(warning(report, "leak_exact")->text,
            "2 records are in both train.jsonl and valid.jsonl: what is learned by heart is then "
            "judged as skill.");
  EXPECT_EQ(warning(report, "leak_exact")->places, (std::vector<RecordPlace>{{1, 41}, {1, 42}}));
  EXPECT_EQ(warning(report, "leak_near")->text,
            "1 record is nearly the same in both train.jsonl and valid.jsonl.");
  EXPECT_EQ(warning(report, "repeat_exact")->level, WarningLevel::kNote);
  ASSERT_FALSE(report.near.examples.empty());
  EXPECT_EQ(report.near.examples[0].later_text, sentence + "!!");
}

TEST(Inspect, NothingWrongIsNoWarning) {
  const Report report = report_of(
      {file_of("train.jsonl", different(150)), file_of("valid.jsonl", different(30, 1000))});
  for (const Warning& one : report.warnings) ADD_FAILURE() << one.text;
}

TEST(Inspect, WhatIsMissingOrSmallIsToldInWords) {
  const Report small = report_of({file_of("train.jsonl", {"a", " \n", "c"})});
  EXPECT_NE(warning(small, "no_valid"), nullptr);
  EXPECT_NE(warning(small, "few_records"), nullptr);
  ASSERT_NE(warning(small, "empty"), nullptr);
  EXPECT_EQ(warning(small, "empty")->places, (std::vector<RecordPlace>{{0, 2}}));
  const Report none = report_of({file_of("valid.jsonl", {"a"})});
  EXPECT_NE(warning(none, "no_train"), nullptr);
  EXPECT_NE(warning(none, "few_valid"), nullptr);
}

TEST(Inspect, MixedFormsAndOtherEndingsAreTold) {
  const auto file =
      parse_data("{\"text\":\"a\"}\n\n{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}\n",
                 "train.jsonl");
  ASSERT_TRUE(file.has_value());
  const Report report = report_of({*file});
  EXPECT_NE(warning(report, "mixed_forms"), nullptr);
  EXPECT_NE(warning(report, "blank_lines"), nullptr);
  ASSERT_NE(warning(report, "other_ending"), nullptr);
  EXPECT_EQ(warning(report, "other_ending")->places, (std::vector<RecordPlace>{{0, 3}}));
}

TEST(Inspect, PromptsAreCountedBySplit) {
  const Report report =
      report_of({file_of("train.jsonl", {"a", "b"}, "one"), file_of("valid.jsonl", {"c"}, "two")});
  ASSERT_EQ(report.prompts.distinct, 2);
  EXPECT_EQ(report.prompts.most[0].text, "one");
  EXPECT_EQ(report.prompts.most[0].counts, (std::vector<std::int64_t>{2, 0}));
  EXPECT_EQ(report.systems.distinct, 0);
}

TEST(Inspect, HabitsAreCountedAsTheBotWouldSeeThem) {
  const Report report = report_of(
      {file_of("train.jsonl", {"see https://example.org", "@ann hi", "mail ann@example.org",
                               "#rain today", "C# is no tag, #1 neither", "tea ☕", "two\nlines"})});
  const Habits& habits = report.splits[0].habits;
  EXPECT_EQ(habits.links, 1);
  EXPECT_EQ(habits.mentions, 1);
  EXPECT_EQ(habits.hashtags, 1);
  EXPECT_EQ(habits.emojis, 1);
  EXPECT_EQ(habits.line_breaks, 1);
}

TEST(Inspect, PiecesAreWholeCharactersAndTellTheMask) {
  const TokenSource source = byte_tokens();
  RecordTokens record;
  for (const char c : std::string("aé☕b")) record.tokens.push_back(static_cast<unsigned char>(c));
  record.loss_begin = 1;
  const auto pieces = token_pieces(record, source, 6);
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[1].text, "é");
  EXPECT_EQ(pieces[1].ids.size(), 2u);
  EXPECT_EQ(pieces[2].text, "☕");
  EXPECT_FALSE(pieces[0].trained);
  EXPECT_TRUE(pieces[1].trained);
  EXPECT_TRUE(pieces[3].cut);
  // A character that the mask or the end divides is shown as what it is: broken.
  record.loss_begin = 2;
  EXPECT_EQ(token_pieces(record, source, 6)[1].text, "\uFFFD");
}

TEST(Inspect, SamplesAreDrawnBySeedAndEachOnce) {
  const std::vector<DataFile> files = {file_of("train.jsonl", different(50)),
                                       file_of("valid.jsonl", different(10, 1000))};
  const auto places = [&](std::uint64_t seed, std::int64_t count) {
    std::vector<std::pair<std::size_t, std::int64_t>> found;
    for (const Sample& sample : report_of(files, {.samples = count, .seed = seed}).samples)
      found.emplace_back(sample.place.split, sample.place.line);
    return found;
  };
  EXPECT_EQ(places(0, 6), places(0, 6));
  EXPECT_NE(places(0, 6), places(1, 6));
  const auto all = places(0, 1000);
  EXPECT_EQ(all.size(), 60u);
  EXPECT_TRUE(std::ranges::is_sorted(all));
  EXPECT_EQ(places(0, 0).size(), 0u);
}

TEST(Inspect, AFolderThatHoldsNoneSaysWhatToDo) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "bobby-no-data";
  std::filesystem::create_directories(folder);
  const auto none = inspect_folder(folder, {});
  ASSERT_FALSE(none.has_value());
  EXPECT_NE(none.error().to_string().find("holds neither train.jsonl nor valid.jsonl"),
            std::string::npos);
  EXPECT_EQ(inspect_folder(folder / "absent", {}).error().code, ErrorCode::kNotFound);
  std::ofstream(folder / "train.jsonl") << "{}\n";
  std::ofstream(folder / "valid.jsonl") << "[]\n";
  const auto both = inspect_folder(folder, {});
  ASSERT_FALSE(both.has_value());
  EXPECT_NE(both.error().to_string().find("train.jsonl:1"), std::string::npos);
  EXPECT_NE(both.error().to_string().find("valid.jsonl:1"), std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST(Inspect, AFileThatChangedSinceTheManifestIsTold) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "bobby-changed";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "train.jsonl") << "{\"text\":\"a\"}\n{\"text\":\"a\"}\n";
  std::ofstream(folder / "manifest.json")
      << R"({"format":"bobby-dataset","version":1,"sources":[{"train_posts":1,"train_records":2}],)"
      << R"("files":[{"name":"train.jsonl","sha256":"00"},{"name":"valid.jsonl","sha256":"11"}]})";
  const auto report = inspect_folder(folder, {});
  ASSERT_TRUE(report.has_value()) << report.error().to_string();
  EXPECT_NE(warning(*report, "manifest_changed"), nullptr);
  EXPECT_NE(warning(*report, "manifest_missing"), nullptr);
  // A weight asks for the copy.
  EXPECT_NE(warning(*report, "weights"), nullptr);
  EXPECT_EQ(warning(*report, "repeat_exact"), nullptr);
  EXPECT_EQ(report->exact.total_within(), 1);
  EXPECT_TRUE(report->exact.examples.empty());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bobby::inspection
