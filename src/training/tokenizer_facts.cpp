#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "training/dataset.h"

namespace bobby {
namespace {

using Json = nlohmann::json;

Result<std::optional<std::string>> read_text(const std::filesystem::path& file) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream && errno == ENOENT) return std::optional<std::string>();
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (!stream.good() && !stream.eof())
    return fail({.code = ErrorCode::kIo,
                 .where = file.string(),
                 .problem = fmt::format("cannot be read ({})", std::strerror(errno))});
  return std::optional(std::move(text));
}

Result<Json> read_json(const std::filesystem::path& file) {
  BOBBY_TRY(const std::optional<std::string> text, read_text(file));
  if (!text) return Json::object();
  Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return fail(
        {.code = ErrorCode::kMalformed, .where = file.string(), .problem = "is not a JSON object"});
  return json;
}

// A text, or the template named "default" of a list.
std::string template_of(const Json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return "";
  for (const Json& each : *found)
    if (each.is_object() && each.value("name", Json()) == "default" && each.contains("template") &&
        each["template"].is_string())
      return each["template"].get<std::string>();
  return "";
}

// A token is a text, or an object with its text as "content".
std::string token_text(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string())
    return (*found)["content"].get<std::string>();
  return "";
}

// The special tokens that stand before $A in a TemplateProcessing, alone or in a Sequence.
void add_text_begin(const Json& processor, const Tokenizer& tokenizer,
                    std::vector<std::int32_t>& tokens) {
  if (!processor.is_object()) return;
  if (const auto inner = processor.find("processors");
      inner != processor.end() && inner->is_array()) {
    for (const Json& each : *inner)
      if (each.is_object() && !each.contains("processors")) add_text_begin(each, tokenizer, tokens);
    return;
  }
  const auto single = processor.find("single");
  if (single == processor.end() || !single->is_array()) return;
  for (const Json& piece : *single) {
    if (!piece.is_object() || !piece.contains("SpecialToken")) return;
    const std::string text = token_text(piece["SpecialToken"], "id");
    if (const auto id = tokenizer.token_to_id(text)) tokens.push_back(*id);
  }
}

}  // namespace

Result<TokenizerFacts> read_tokenizer_facts(const std::filesystem::path& model_folder,
                                            const Tokenizer& tokenizer) {
  TokenizerFacts facts;
  BOBBY_TRY(const Json config, read_json(model_folder / "tokenizer_config.json"));
  BOBBY_TRY(std::optional<std::string> jinja, read_text(model_folder / "chat_template.jinja"));
  facts.chat_template = jinja ? *std::move(jinja) : template_of(config);
  facts.eos = tokenizer.token_to_id(token_text(config, "eos_token"));
  facts.has_thinking = tokenizer.token_to_id("<think>") && tokenizer.token_to_id("</think>");
  BOBBY_TRY(const Json file, read_json(model_folder / "tokenizer.json"));
  if (const auto processor = file.find("post_processor"); processor != file.end())
    add_text_begin(*processor, tokenizer, facts.text_begin);
  return facts;
}

}  // namespace bobby
