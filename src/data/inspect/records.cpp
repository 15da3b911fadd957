#include "data/inspect/records.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <optional>
#include <simdjson.h>
#include <span>

#include "base/sha256.h"
#include "data/inspect/words.h"

namespace bobby::inspection {
namespace {

namespace json = simdjson::dom;

constexpr std::size_t kMostProblems = 16;
constexpr std::size_t kDeepest = 64;

constexpr std::string_view kExpectedForms = R"("messages", "prompt" with "completion", or "text")";

std::string_view kind_of(json::element element) {
  switch (element.type()) {
    case json::element_type::ARRAY: return "an array";
    case json::element_type::OBJECT: return "an object";
    case json::element_type::STRING: return "a text";
    case json::element_type::BOOL: return "true or false";
    case json::element_type::NULL_VALUE: return "null";
    default: return "a number";
  }
}

// What is wrong with one line; where it stands is added by the caller.
struct Complaint {
  std::string problem;
  std::string expected = {};
  std::string found = {};
  std::string hint = {};
};
template <typename T>
using Read = tl::expected<T, Complaint>;

tl::unexpected<Complaint> complain(Complaint complaint) {
  return tl::unexpected<Complaint>(std::move(complaint));
}

std::optional<json::element> find(json::object object, std::string_view key) {
  json::element value;
  if (object[key].get(value)) return std::nullopt;
  return value;
}

Read<std::string> text_of(json::object object, std::string_view key) {
  const auto value = find(object, key);
  if (!value)
    return complain({.problem = fmt::format("key '{}' is missing", key), .expected = "a text"});
  std::string_view text;
  if (value->get(text))
    return complain({.problem = fmt::format("key '{}' is not a text", key),
                     .expected = "a text",
                     .found = std::string(kind_of(*value))});
  return std::string(text);
}

std::string optional_text(json::object object, std::string_view key) {
  std::string_view text;
  const auto value = find(object, key);
  return value && !value->get(text) ? std::string(text) : std::string();
}

Read<RecordTurn> read_turn(json::element element, std::size_t index) {
  const std::string where = fmt::format("messages[{}]", index);
  json::object message;
  if (element.get(message))
    return complain({.problem = where + " is not an object",
                     .expected = "an object with 'role' and 'content'",
                     .found = std::string(kind_of(element))});
  const auto within = [&](Complaint complaint) {
    complaint.problem = fmt::format("{}: {}", where, complaint.problem);
    return complain(std::move(complaint));
  };
  auto role = text_of(message, "role");
  if (!role) return within(std::move(role).error());
  constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool"};
  if (std::ranges::find(kRoles, *role) == std::end(kRoles))
    return within({.problem = "the role is not known",
                   .expected = "system, user, assistant or tool",
                   .found = fmt::format("\"{}\"", printable(shortened(*role, 40)))});
  const auto content = find(message, "content");
  const auto calls = find(message, "tool_calls");
  if (calls && (!content || content->is_null()))
    return RecordTurn{*std::move(role), simdjson::minify(*calls)};
  auto text = text_of(message, "content");
  if (!text) return within(std::move(text).error());
  return RecordTurn{*std::move(role), *std::move(text)};
}

Read<std::vector<RecordTurn>> read_messages(json::element element) {
  json::array messages;
  if (element.get(messages))
    return complain({.problem = "key 'messages' is not an array",
                     .expected = "an array of messages",
                     .found = std::string(kind_of(element))});
  std::vector<RecordTurn> turns;
  for (const json::element message : messages) {
    auto turn = read_turn(message, turns.size());
    if (!turn) return complain(std::move(turn).error());
    turns.push_back(*std::move(turn));
  }
  if (turns.empty())
    return complain({.problem = "key 'messages' is empty", .expected = "at least one message"});
  return turns;
}

std::string keys_of(json::object object) {
  std::vector<std::string> keys;
  for (const auto field : object) {
    if (keys.size() == 6) {
      keys.emplace_back("...");
      break;
    }
    keys.push_back(fmt::format("\"{}\"", printable(shortened(field.key, 40))));
  }
  return keys.empty() ? "no keys" : fmt::format("{}", fmt::join(keys, ", "));
}

// In mlx-lm's order: what has several forms' keys is of the first.
Read<DataRecord> read_record(json::element element) {
  json::object object;
  if (element.get(object))
    return complain({.problem = "is not a JSON object",
                     .expected = fmt::format("an object with {}", kExpectedForms),
                     .found = std::string(kind_of(element))});
  DataRecord record;
  record.language = optional_text(object, "language");
  if (record.language.empty()) record.language = optional_text(object, "lang");
  record.source = optional_text(object, "source");
  const auto tools = find(object, "tools");
  if (find(object, "prompt") && find(object, "completion")) {
    record.form = RecordForm::kCompletions;
    auto prompt = text_of(object, "prompt");
    if (!prompt) return complain(std::move(prompt).error());
    auto completion = text_of(object, "completion");
    if (!completion) return complain(std::move(completion).error());
    record.turns = {{"user", *std::move(prompt)}, {"assistant", *std::move(completion)}};
  } else if (const auto messages = find(object, "messages")) {
    record.form = tools && !tools->is_null() ? RecordForm::kTools : RecordForm::kChat;
    auto turns = read_messages(*messages);
    if (!turns) return complain(std::move(turns).error());
    record.turns = *std::move(turns);
  } else if (find(object, "text")) {
    record.form = RecordForm::kText;
    auto text = text_of(object, "text");
    if (!text) return complain(std::move(text).error());
    record.turns = {{"", *std::move(text)}};
  } else {
    return complain({.problem = "has none of mlx-lm's forms",
                     .expected = std::string(kExpectedForms),
                     .found = keys_of(object)});
  }
  return record;
}

Read<DataRecord> read_line(json::parser& parser, std::string_view line) {
  if (line.size() > kLongestLine)
    return complain({.problem = "is too long",
                     .expected = fmt::format("at most {} MB", kLongestLine >> 20),
                     .found = fmt::format("{:.1f} MB", static_cast<double>(line.size()) * 1e-6)});
  if (line.starts_with("\xEF\xBB\xBF"))
    return complain(
        {.problem = "begins with a byte order mark", .hint = "save the file as UTF-8 without one"});
  json::element element;
  if (const auto error = parser.parse(line.data(), line.size()).get(element))
    return complain({.problem = fmt::format("is not JSON ({})", simdjson::error_message(error)),
                     .expected = "one JSON object a line"});
  return read_record(element);
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

Error at_line(std::string_view name, std::int64_t line, Complaint complaint) {
  return {.code = ErrorCode::kMalformed,
          .where = fmt::format("{}:{}", name, line),
          .problem = std::move(complaint.problem),
          .expected = std::move(complaint.expected),
          .found = std::move(complaint.found),
          .hint = std::move(complaint.hint)};
}

}  // namespace

std::string_view name_of(RecordForm form) {
  constexpr std::string_view kNames[kRecordForms] = {"chat", "tools", "completions", "text"};
  return kNames[static_cast<std::size_t>(form)];
}

std::string_view DataRecord::prompt() const {
  for (std::size_t i = turns.size() - 1; i-- > 0;)
    if (turns[i].role == "user") return turns[i].text;
  return {};
}

std::string_view DataRecord::system() const {
  if (turns.size() > 1 && turns.front().role == "system") return turns.front().text;
  return {};
}

Result<DataFile> parse_data(std::string_view text, std::string_view name) {
  DataFile file;
  file.name = name;
  file.bytes = text.size();
  file.sha256 = sha256_hex(std::as_bytes(std::span(text)));
  std::vector<Error> problems;
  json::parser parser;
  if (parser.allocate(std::min(text.size(), kLongestLine) + 1, kDeepest) != simdjson::SUCCESS)
    return fail({.code = ErrorCode::kLimit,
                 .where = std::string(name),
                 .problem = "needs more memory than there is"});
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (is_blank(line)) {
      ++file.blank_lines;
      continue;
    }
    auto record = read_line(parser, line);
    if (!record) {
      problems.push_back(at_line(name, number, std::move(record).error()));
      if (problems.size() == kMostProblems) break;
      continue;
    }
    record->line = number;
    record->json = line;
    file.records.push_back(*std::move(record));
  }
  if (!problems.empty()) return tl::unexpected<Error>(join_errors(std::move(problems)));
  return file;
}

Result<DataFile> read_data_file(const std::filesystem::path& file) {
  std::error_code status;
  const auto where = file.string();
  if (!std::filesystem::is_regular_file(file, status))
    return fail(
        {.code = std::filesystem::exists(file, status) ? ErrorCode::kIo : ErrorCode::kNotFound,
         .where = where,
         .problem = std::filesystem::exists(file, status) ? "is not a file" : "no such file"});
  const auto size = std::filesystem::file_size(file, status);
  if (status || size > kLargestFile)
    return fail({.code = ErrorCode::kLimit,
                 .where = where,
                 .problem = "is too large to be looked at",
                 .expected = fmt::format("at most {} MB", kLargestFile >> 20),
                 .found = fmt::format("{} MB", size >> 20)});
  std::string text(size, '\0');
  std::ifstream stream(file, std::ios::binary);
  if (!stream.read(text.data(), static_cast<std::streamsize>(size)))
    return fail({.code = ErrorCode::kIo, .where = where, .problem = "cannot be read"});
  auto data = parse_data(text, where);
  if (data) data->name = file.filename().string();
  return data;
}

}  // namespace bobby::inspection
