#include "bot/archive_posts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace bobby::bot {
namespace {

using nlohmann::json;

std::optional<std::string> text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<std::string> last_answer(const json& record) {
  const auto messages = record.find("messages");
  if (messages == record.end() || !messages->is_array()) return std::nullopt;
  for (auto message = messages->rbegin(); message != messages->rend(); ++message)
    if (message->is_object() && text_at(*message, "role") == "assistant")
      return text_at(*message, "content");
  return std::nullopt;
}

std::optional<std::string> post_of(const json& record) {
  if (!record.is_object()) return std::nullopt;
  if (auto answer = last_answer(record)) return answer;
  if (auto completion = text_at(record, "completion")) return completion;
  return text_at(record, "text");
}

}  // namespace

Result<std::size_t> add_archive(NoveltyIndex& index, std::istream& lines, std::string_view name) {
  std::size_t added = 0;
  std::string line;
  for (std::size_t number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::optional<std::string> post = post_of(json::parse(line, nullptr, false));
    if (!post)
      return fail({.code = ErrorCode::kMalformed,
                   .where = fmt::format("{}:{}", name, number),
                   .problem = "is no record of a training set",
                   .expected = "a JSON object with \"messages\", \"completion\" or \"text\""});
    index.add({.kind = SourceKind::kArchive, .id = fmt::format("{}:{}", name, number)}, *post);
    ++added;
  }
  if (lines.bad())
    return fail({.code = ErrorCode::kIo,
                 .where = std::string(name),
                 .problem = "could not be read to its end"});
  return added;
}

}  // namespace bobby::bot
