#include <fmt/format.h>
#include <set>

#include "tokenizer/bpe_reader.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/components.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/tokenizer_impl.h"

namespace bobby {
namespace {

using detail::AddedToken;
using detail::JsonElement;
using detail::JsonObject;
using detail::Problems;

std::optional<AddedToken> read_added_token(JsonElement element, const std::string& path,
                                           Problems& problems) {
  auto object = JsonObject::from(element, path, problems);
  if (!object) return std::nullopt;
  AddedToken token;
  token.content = object->string("content");
  token.single_word = object->boolean("single_word");
  token.lstrip = object->boolean("lstrip");
  token.rstrip = object->boolean("rstrip");
  token.normalized = object->boolean("normalized");
  token.special = object->boolean("special");
  const auto id_element = object->find("id");
  std::int64_t id = -1;
  if (!id_element || id_element->get(id) || id < 0 || id > detail::Vocabulary::kMaxId)
    problems.malformed(object->path_of("id"),
                       fmt::format("is not an integer from 0 to {}", detail::Vocabulary::kMaxId));
  token.id = static_cast<std::int32_t>(id);
  object->refuse_other_keys();
  return token;
}

}  // namespace

void Tokenizer::Impl::add(const AddedToken& token) {
  std::string storage;
  std::string pattern = token.content;
  if (token.normalized && normalizes)
    pattern = std::string(detail::normalize_nfc(token.content, storage));
  // Decoding goes through the byte alphabet where the whole token is written in it.
  Added decoded{.bytes = {}, .is_special = token.special};
  if (!detail::append_token_bytes(pattern, decoded.bytes)) decoded.bytes = pattern;
  added.emplace(token.id, std::move(decoded));
  (token.normalized ? normalized_tokens : raw_tokens).add(token, std::move(pattern));
  id_end = std::max(id_end, std::int64_t{token.id} + 1);
}

/// The library that defines the format does not read the ids: a token gets the vocabulary's id, or
/// the next one after it. A file that says otherwise would be read in two ways, and is refused.
void Tokenizer::Impl::read_added_tokens(std::optional<JsonElement> element, Problems& problems) {
  if (!element) return;
  simdjson::dom::array array;
  if (element->get(array)) {
    problems.malformed("added_tokens", "is not an array");
    return;
  }
  auto next_id = static_cast<std::int32_t>(bpe.vocabulary().size());
  std::size_t index = 0;
  for (const JsonElement item : array) {
    if (problems.enough()) return;
    const std::string path = fmt::format("added_tokens[{}]", index++);
    const auto token = read_added_token(item, path, problems);
    if (!token || token->content.empty()) continue;
    const auto in_vocabulary = bpe.vocabulary().find(token->content);
    const std::int32_t expected = in_vocabulary ? *in_vocabulary : next_id;
    if (!added_ids.emplace(token->content, token->id).second) {
      problems.malformed(path, fmt::format("token '{}' stands twice", token->content));
    } else if (token->id != expected) {
      problems.malformed(
          path,
          fmt::format("the id of '{}' is not {}", token->content,
                      in_vocabulary ? "the one in the vocabulary" : "the next after the others"),
          fmt::format("{} rather than {}", token->id, expected));
    } else {
      add(*token);
    }
    if (!in_vocabulary) ++next_id;
  }
  for (detail::AddedTokenMatcher* matcher : {&raw_tokens, &normalized_tokens})
    if (const std::string* twice = matcher->seal())
      problems.malformed("added_tokens",
                         fmt::format("two tokens are '{}' once normalized", *twice));
}

std::unique_ptr<const Tokenizer::Impl> Tokenizer::Impl::read(JsonElement document,
                                                             Problems& problems) {
  auto object = JsonObject::from(document, "", problems);
  if (!object) return nullptr;
  if (object->find("version") && object->string("version") != "1.0")
    problems.unsupported("version", "is not 1.0", std::string(object->string("version")));
  if (object->find("truncation"))
    problems.unsupported("truncation", "is not supported; set it to null");
  detail::check_padding(object->find("padding"), problems);
  detail::check_post_processor(object->find("post_processor"), problems);
  detail::check_decoder(object->find("decoder"), problems);
  const bool normalizes = detail::read_normalizer(object->find("normalizer"), problems);
  detail::PreTokenizer pre_tokenizer =
      detail::read_pre_tokenizer(object->find("pre_tokenizer"), problems);
  auto bpe = detail::read_bpe(object->find("model"), problems);
  const auto added_tokens = object->find("added_tokens");
  object->refuse_other_keys();
  if (!bpe || problems.any()) return nullptr;

  const std::int64_t id_end = bpe->vocabulary().id_end();
  std::unique_ptr<Impl> impl(new Impl{.bpe = *std::move(bpe),
                                      .normalizes = normalizes,
                                      .pre_tokenizer = std::move(pre_tokenizer),
                                      .id_end = id_end});
  impl->read_added_tokens(added_tokens, problems);
  if (problems.any()) return nullptr;
  return impl;
}

auto Tokenizer::Impl::read(std::string_view json, bool is_padded, std::string_view name)
    -> Result<std::unique_ptr<const Impl>> {
  constexpr std::size_t kMaxBytes = std::size_t{1} << 29;  // offsets are of 32 bits
  if (json.size() > kMaxBytes)
    return fail({.code = ErrorCode::kLimit,
                 .where = std::string(name),
                 .problem = "is too large for a tokenizer.json",
                 .expected = fmt::format("at most {} bytes", kMaxBytes),
                 .found = std::to_string(json.size())});
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (const auto failure = parser.parse(json.data(), json.size(), !is_padded).get(document))
    return fail({.code = ErrorCode::kMalformed,
                 .where = std::string(name),
                 .problem = fmt::format("is not JSON that can be read: {}",
                                        simdjson::error_message(failure))});
  Problems problems(name);
  auto impl = read(document, problems);
  if (!impl) return fail(std::move(problems).joined());
  return impl;
}

}  // namespace bobby
