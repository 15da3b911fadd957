#include <fmt/format.h>

#include "data/byte_stream.h"
#include "data/json_value.h"
#include "data/lines.h"
#include "data/plain_sources.h"

namespace bobby::data {
namespace {

using Element = simdjson::dom::element;

constexpr std::size_t kMostLineBytes = std::size_t{1} << 20;

tl::unexpected<Error> malformed(std::string where, std::string problem, std::string expected) {
  return fail({.code = ErrorCode::kMalformed,
               .where = std::move(where),
               .problem = std::move(problem),
               .expected = std::move(expected)});
}

// A string under `key`; it must be there.
Result<std::string> required_text(Element object, std::string_view key) {
  std::string_view text;
  const auto value = member(object, key);
  if (!value || value->get(text))
    return malformed(fmt::format("key '{}'", key), value ? "is not a string" : "is missing",
                     "a string");
  return std::string(text);
}

// One post, or the reason why a line is none.
struct LineResult {
  SourcePost post;
  std::string left_out;
};

Result<LineResult> read_messages(Element messages) {
  simdjson::dom::array list;
  if (messages.get(list))
    return malformed("key 'messages'", "is not an array", "messages with 'role' and 'content'");
  LineResult result;
  int questions = 0;
  int answers = 0;
  std::size_t number = 0;
  for (const Element message : list) {
    const std::string place = fmt::format("messages[{}]", number++);
    std::string_view role;
    if (const auto value = member(message, "role"); !value || value->get(role))
      return malformed(place, "has no role", "\"system\", \"user\" or \"assistant\"");
    if (role == "system") continue;
    if (role == "tool" || member(message, "tool_calls")) {
      result.left_out = "a conversation with tools";
      continue;
    }
    auto content = required_text(message, "content");
    if (!content) return fail(std::move(content).error().in(place));
    if (role == "user") {
      ++questions;
      result.post.prompt = *std::move(content);
    } else if (role == "assistant") {
      ++answers;
      result.post.text = *std::move(content);
    } else {
      return malformed(place, fmt::format("has the unknown role \"{}\"", role),
                       "\"system\", \"user\" or \"assistant\"");
    }
  }
  if (result.left_out.empty() && answers == 0) result.left_out = "a conversation without an answer";
  if (result.left_out.empty() && (questions > 1 || answers > 1))
    result.left_out = "a conversation of several turns";
  return result;
}

Result<LineResult> read_object(Element object) {
  if (!object.is_object()) return malformed("", "is not an object", "one JSON object a line");
  if (const auto messages = member(object, "messages")) return read_messages(*messages);
  LineResult result;
  if (member(object, "completion")) {
    BOBBY_TRY(result.post.prompt, required_text(object, "prompt"));
    BOBBY_TRY(result.post.text, required_text(object, "completion"));
  } else {
    if (!member(object, "text"))
      return malformed("", "has none of the known keys",
                       "\"text\", \"messages\", or \"prompt\" and \"completion\"");
    BOBBY_TRY(result.post.text, required_text(object, "text"));
    if (member(object, "prompt")) {
      BOBBY_TRY(result.post.prompt, required_text(object, "prompt"));
    }
  }
  SourcePost& post = result.post;
  post.id = text_of(object, "id");
  post.language = text_of(object, "language");
  if (post.language.empty()) post.language = text_of(object, "lang");
  for (const auto& [key, flag] : {std::pair{"reply", &post.reply}, std::pair{"quote", &post.quote}})
    if (const auto value = member(object, key); value && value->get(*flag))
      return malformed(fmt::format("key '{}'", key), "is not a boolean", "true or false");
  return result;
}

class JsonlSource final : public PostSource {
 public:
  explicit JsonlSource(std::filesystem::path path) : path_(std::move(path)) {}

  Result<void> read(const PostSink& sink, SourceReport& report,
                    const ReadContext& context) override {
    std::error_code error;
    ReadProgress read_progress(context.progress, std::filesystem::file_size(path_, error));
    BOBBY_TRY(auto stream, open_file(path_));
    WatchedStream watched(std::move(stream), read_progress);
    if (auto read = read_lines(watched, sink, report.counts); !read)
      return fail(std::move(read).error().in(path_.string()));
    report.files.push_back(watched.finish(path_.filename().string()));
    return {};
  }

 private:
  static Result<void> read_lines(ByteStream& stream, const PostSink& sink, SourceCounts& counts) {
    LineReader lines(stream, kMostLineBytes);
    JsonReader json;
    std::string padded;
    for (;;) {
      BOBBY_TRY(const auto line, lines.next());
      if (!line) return {};
      if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
      padded = *line;
      padded.reserve(padded.size() + simdjson::SIMDJSON_PADDING);
      const auto at_line = [&](Error error) { return fail(std::move(error).in(lines.place())); };
      auto element = json.parse(padded);
      if (!element) return at_line(std::move(element).error());
      auto found = read_object(*element);
      if (!found) return at_line(std::move(found).error());
      ++counts.read;
      if (found->left_out.empty())
        BOBBY_CHECK(sink(std::move(found->post)));
      else
        counts.leave_out(found->left_out);
    }
  }

  std::filesystem::path path_;
};

}  // namespace

Result<std::unique_ptr<PostSource>> open_jsonl(const std::filesystem::path& path) {
  BOBBY_CHECK(open_file(path));
  return std::make_unique<JsonlSource>(path);
}

}  // namespace bobby::data
