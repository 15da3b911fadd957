#include "data/plain_sources.h"

#include "data_fixture.h"

namespace bobby::data {
namespace {

using namespace testing;

class PlainSourcesTest : public ::testing::Test {
 protected:
  Result<Read> jsonl(std::string_view bytes) const {
    return read_all(open_jsonl(folder_.write("posts.jsonl", bytes)), folder_.path());
  }
  Result<Read> text(std::string_view bytes, TextPosts posts = TextPosts::kLines) const {
    return read_all(open_text(folder_.write("posts.txt", bytes), posts), folder_.path());
  }
  static void expect_error(const Result<Read>& read, const std::vector<std::string>& parts) {
    ASSERT_FALSE(read) << "it was read";
    for (const std::string& part : parts)
      EXPECT_NE(read.error().to_string().find(part), std::string::npos)
          << part << " is not in: " << read.error().to_string();
  }

  Folder folder_;
};

TEST_F(PlainSourcesTest, EveryFormOfMlxLm) {
  const auto read = jsonl(
      R"({"text": "a text", "prompt": "p", "id": 7, "lang": "en", "reply": true, "other": [1]})"
      "\r\n\n"
      R"({"prompt": "ask", "completion": "an answer"})"
      "\n  \n"
      R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, )"
      R"({"role": "assistant", "content": "a"}]})");
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->posts.size(), 3u);
  EXPECT_EQ(read->posts[0].text, "a text");
  EXPECT_EQ(read->posts[0].id, "7");
  EXPECT_EQ(read->posts[0].language, "en");
  EXPECT_EQ(read->posts[0].prompt, "p");
  EXPECT_TRUE(read->posts[0].reply);
  EXPECT_EQ(read->posts[1].text, "an answer");
  EXPECT_EQ(read->posts[1].prompt, "ask");
  EXPECT_EQ(read->posts[2].text, "a");
  EXPECT_EQ(read->posts[2].prompt, "q");
  EXPECT_EQ(read->report.counts.read, 3u);
  EXPECT_EQ(read->report.files[0].name, "posts.jsonl");
}

TEST_F(PlainSourcesTest, ConversationsThatAreNoPostAreCounted) {
  const std::string user = R"({"role": "user", "content": "q"})";
  const std::string answer = R"({"role": "assistant", "content": "a"})";
  const auto line = [](const std::string& messages) {
    return R"({"messages": [)" + messages + "]}\n";
  };
  const auto read =
      jsonl(line(user + "," + answer + "," + user + "," + answer) + line(user) +
            line(user + R"(, {"role": "assistant", "tool_calls": []})") + line(answer));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->report.counts.left_out,
            (std::map<std::string, std::uint64_t>{{"a conversation of several turns", 1},
                                                  {"a conversation with tools", 1},
                                                  {"a conversation without an answer", 1}}));
  ASSERT_EQ(read->posts.size(), 1u);
  EXPECT_EQ(read->posts[0].prompt, "");
}

TEST_F(PlainSourcesTest, ErrorsOfJsonlNameTheLine) {
  const std::string good = "{\"text\": \"good\"}\n";
  expect_error(jsonl(good + good + "{\"text\": \"bad}\n"),
               {"posts.jsonl", "line 3", "is not JSON"});
  expect_error(jsonl(good + "[1]\n"), {"line 2", "is not an object"});
  expect_error(jsonl(good + "{\"txt\": \"x\"}\n"),
               {"line 2", "none of the known keys", "\"text\""});
  expect_error(jsonl(good + "{\"text\": 5}\n"), {"line 2", "key 'text'", "is not a string"});
  expect_error(jsonl(good + "{\"completion\": \"x\"}\n"), {"line 2", "key 'prompt'", "is missing"});
  expect_error(jsonl("{\"text\": \"x\", \"reply\": 1}"), {"line 1", "key 'reply'"});
  expect_error(jsonl("{\"messages\": [{\"role\": \"poet\", \"content\": \"x\"}]}"),
               {"line 1", "messages[0]", "poet"});
  expect_error(jsonl("{\"messages\": [{\"role\": \"user\", \"content\": [\"x\"]}]}"),
               {"line 1", "messages[0]", "content"});
  expect_error(jsonl(good + "{\"text\": \"" + std::string(10'000'000, 'x') + "\"}"),
               {"line 2", "too long", "1048576"});
  expect_error(jsonl(good + "{\"text\": \"caf\xE9\"}"), {"line 2", "is not UTF-8"});
  expect_error(jsonl(std::string("\xFF\xFE{\0", 4)), {"UTF-16"});
  expect_error(read_all(open_jsonl(folder_.path() / "none"), folder_.path()), {"no such file"});
  expect_error(read_all(open_jsonl(folder_.path()), folder_.path()), {"is a folder"});
}

TEST_F(PlainSourcesTest, TextByLinesAndByBlocks) {
  const std::string bytes = "\xEF\xBB\xBFone\r\ntwo\n\n  \nthree\nfour";
  const auto lines = text(bytes);
  ASSERT_TRUE(lines) << lines.error().to_string();
  EXPECT_EQ(lines->texts(),
            (std::map<std::string, std::string>{
                {"line 1", "one"}, {"line 2", "two"}, {"line 5", "three"}, {"line 6", "four"}}));
  const auto blocks = text(bytes, TextPosts::kBlocks);
  ASSERT_TRUE(blocks) << blocks.error().to_string();
  EXPECT_EQ(blocks->texts(), (std::map<std::string, std::string>{{"line 1", "one\ntwo"},
                                                                 {"line 5", "three\nfour"}}));
  EXPECT_EQ(blocks->report.counts.read, 2u);
}

TEST_F(PlainSourcesTest, ErrorsOfTextNameTheLine) {
  expect_error(text("good\n" + std::string(10'000'000, 'x')), {"posts.txt", "line 2", "too long"});
  expect_error(text("good\ncaf\xE9\n"), {"line 2", "is not UTF-8"});
  expect_error(text("good\n" + std::string("\0", 1)), {"NUL"});
  std::string block;
  for (int i = 0; i < 200; ++i) block += std::string(9999, 'x') + "\n";
  expect_error(text(block, TextPosts::kBlocks), {"line 1", "too long"});
}

TEST_F(PlainSourcesTest, LinesAcrossBlocksOfTheFileAreWhole) {
  std::string bytes;
  for (int i = 0; i < 60000; ++i) bytes += "post number " + std::to_string(i) + "\n";
  const auto read = text(bytes);
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->posts.size(), 60000u);
  for (int i = 0; i < 60000; ++i)
    ASSERT_EQ(read->posts[static_cast<std::size_t>(i)].text, "post number " + std::to_string(i));
}

}  // namespace
}  // namespace bobby::data
