#include "hub/gguf_tokenizer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace bobby {
namespace {

using Json = nlohmann::ordered_json;

// Token types of `tokenizer.ggml.token_type` that mean more than a piece of text.
constexpr std::int64_t kControl = 3;
constexpr std::int64_t kUserDefined = 4;

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json split(std::string_view regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json sequence(Json first, Json second) {
  return {{"type", "Sequence"},
          {"pretokenizers", Json::array({std::move(first), std::move(second)})}};
}

// The pre-tokenizer and normalizer that a name in `tokenizer.ggml.pre` stands for.
struct SplitRule {
  Json pre_tokenizer;
  Json normalizer = nullptr;
};

std::optional<SplitRule> split_rule(std::string_view name) {
  constexpr std::string_view kLlama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  constexpr std::string_view kQwen2 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  if (name == "gpt-2") return SplitRule{byte_level(true)};
  if (name == "smollm")
    return SplitRule{sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true))};
  if (name == "llama-bpe" || name == "llama3")
    return SplitRule{sequence(split(kLlama3), byte_level(false))};
  if (name == "qwen2")
    return SplitRule{sequence(split(kQwen2), byte_level(false)), {{"type", "NFC"}}};
  return std::nullopt;
}

Json added_token(const std::string& content, std::int64_t id, bool special) {
  return Json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
              {"rstrip", false}, {"normalized", false}, {"special", special}};
}

// The text of the token that `key` names by id, or null.
Result<Json> token_at(const GgufFile& file, std::string_view key,
                      const std::vector<std::string>& tokens) {
  BOBBY_TRY(const auto id, file.find<std::uint64_t>(key));
  if (!id) return Json(nullptr);
  if (*id >= tokens.size())
    return fail({.code = ErrorCode::kMalformed,
                 .where = file.name(),
                 .problem = fmt::format("key '{}' names no token", key),
                 .expected = fmt::format("an id below {}", tokens.size()),
                 .found = fmt::format("{}", *id)});
  return Json(tokens[*id]);
}

Result<std::string> tokenizer_config(const GgufFile& file, const std::vector<std::string>& tokens) {
  Json config;
  for (const auto& [name, key] : {std::pair{"bos_token", "tokenizer.ggml.bos_token_id"},
                                  std::pair{"eos_token", "tokenizer.ggml.eos_token_id"},
                                  std::pair{"pad_token", "tokenizer.ggml.padding_token_id"},
                                  std::pair{"unk_token", "tokenizer.ggml.unknown_token_id"}}) {
    BOBBY_TRY(config[name], token_at(file, key, tokens));
  }
  BOBBY_TRY(const auto chat_template, file.find<std::string>("tokenizer.chat_template"));
  if (chat_template) config["chat_template"] = *chat_template;
  config["clean_up_tokenization_spaces"] = false;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  return config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<TokenizerFiles> tokenizer_from_gguf(const GgufFile& file) {
  BOBBY_TRY(const std::string model, file.get<std::string>("tokenizer.ggml.model"));
  if (model != "gpt2")
    return fail({.code = ErrorCode::kUnsupported,
                 .where = file.name(),
                 .problem = fmt::format("tokenizer model '{}' is not implemented", model),
                 .expected = "'gpt2' (byte-level BPE)"});
  BOBBY_TRY(const auto pre, file.find<std::string>("tokenizer.ggml.pre"));
  const auto rule = split_rule(pre.value_or("gpt-2"));
  if (!rule)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = file.name(),
                 .problem = fmt::format(
                     "the split rule '{}' (tokenizer.ggml.pre) is not implemented", *pre),
                 .expected = "gpt-2, smollm, llama-bpe or qwen2"});
  BOBBY_TRY(const auto tokens, file.get<std::vector<std::string>>("tokenizer.ggml.tokens"));
  BOBBY_TRY(const auto merges, file.get<std::vector<std::string>>("tokenizer.ggml.merges"));
  BOBBY_TRY(const auto types, file.find<std::vector<std::int64_t>>("tokenizer.ggml.token_type"));
  if (types && types->size() != tokens.size())
    return fail({.code = ErrorCode::kMalformed,
                 .where = file.name(),
                 .problem = "key 'tokenizer.ggml.token_type' has the wrong length",
                 .expected = fmt::format("{}", tokens.size()),
                 .found = fmt::format("{}", types->size())});

  Json vocab = Json::object();
  Json added = Json::array();
  auto& entries = vocab.get_ref<Json::object_t&>();
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    // Straight to the end: ordered_json's operator[] looks through all that is there already.
    entries.emplace_back(tokens[id], id);
    const std::int64_t type = types ? (*types)[id] : 1;
    if (type != kControl && type != kUserDefined) continue;
    added.push_back(added_token(tokens[id], static_cast<std::int64_t>(id), type == kControl));
  }
  const Json tokenizer = {{"version", "1.0"},
                          {"truncation", nullptr},
                          {"padding", nullptr},
                          {"added_tokens", std::move(added)},
                          {"normalizer", rule->normalizer},
                          {"pre_tokenizer", rule->pre_tokenizer},
                          {"post_processor", nullptr},
                          {"decoder", byte_level(true)},
                          {"model",
                           {{"type", "BPE"},
                            {"dropout", nullptr},
                            {"unk_token", nullptr},
                            {"continuing_subword_prefix", nullptr},
                            {"end_of_word_suffix", nullptr},
                            {"fuse_unk", false},
                            {"byte_fallback", false},
                            {"ignore_merges", pre == "llama-bpe" || pre == "llama3"},
                            {"vocab", std::move(vocab)},
                            {"merges", merges}}}};
  TokenizerFiles files;
  files.tokenizer_json = tokenizer.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  BOBBY_TRY(files.tokenizer_config_json, tokenizer_config(file, tokens));
  return files;
}

}  // namespace bobby
