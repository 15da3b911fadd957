#include "tokenizer/bpe_reader.h"

#include <fmt/format.h>

#include "tokenizer/byte_alphabet.h"

namespace bobby::detail {
namespace {

constexpr const char* kVocabPath = "model.vocab";
constexpr const char* kMergesPath = "model.merges";

std::optional<simdjson::dom::object> find_vocab(JsonObject& model, Problems& problems) {
  const auto element = model.find("vocab");
  simdjson::dom::object vocab;
  if (element && !element->get(vocab)) return vocab;
  problems.malformed(kVocabPath, element ? "is not an object" : "is missing",
                     element ? std::string(kind_of(*element)) : "");
  return std::nullopt;
}

Vocabulary read_vocab(simdjson::dom::object object, Problems& problems) {
  Vocabulary vocabulary;
  vocabulary.reserve(object.size(), object.size() * 8);
  for (const auto field : object) {
    if (problems.enough()) break;
    std::int64_t id = 0;
    if (field.value.get(id)) {
      problems.malformed(kVocabPath, fmt::format("the id of token '{}' is no integer", field.key),
                         std::string(kind_of(field.value)));
    } else if (id < 0) {
      problems.malformed(kVocabPath, fmt::format("the id of token '{}' is negative", field.key),
                         std::to_string(id));
    } else if (id > Vocabulary::kMaxId) {
      problems.report(
          ErrorCode::kLimit, kVocabPath,
          fmt::format("the id of token '{}' is larger than {}", field.key, Vocabulary::kMaxId),
          std::to_string(id));
    } else {
      const auto added = vocabulary.add(field.key, static_cast<std::int32_t>(id));
      if (added == Vocabulary::Added::kTokenTwice)
        problems.malformed(kVocabPath, fmt::format("token '{}' stands twice", field.key));
      if (added == Vocabulary::Added::kIdTwice)
        problems.malformed(kVocabPath,
                           fmt::format("the id of token '{}' is another's too", field.key),
                           std::to_string(id));
    }
  }
  return vocabulary;
}

/// Everything of the model that is not the plain algorithm is refused by its key.
Bpe::Options read_options(JsonObject& model, const Vocabulary& vocabulary, Problems& problems) {
  Bpe::Options options;
  if (const auto dropout = model.find("dropout")) {
    double probability = 1;
    if (dropout->get(probability) || probability != 0)
      problems.unsupported("model.dropout", "is not supported unless it is null or 0");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const auto element = model.find(key)) {
      std::string_view affix;
      if (element->get(affix) || !affix.empty())
        problems.unsupported(model.path_of(key), "is not supported unless it is null or empty");
    }
  if (model.boolean("byte_fallback", false))
    problems.unsupported("model.byte_fallback", "is not supported unless it is false");
  options.fuse_unk = model.boolean("fuse_unk", false);
  options.ignore_merges = model.boolean("ignore_merges", false);
  if (model.find("unk_token")) {
    const std::string_view token = model.string("unk_token");
    if (const auto id = vocabulary.find(token))
      options.unk_id = *id;
    else
      problems.malformed("model.unk_token", "is not in the vocabulary", std::string(token));
  }
  return options;
}

/// The two halves of a merge: ["a", "b"], or "a b" in older files.
bool read_halves(JsonElement element, std::string_view& left, std::string_view& right) {
  std::string_view line;
  if (!element.get(line)) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      return false;
    left = line.substr(0, space);
    right = line.substr(space + 1);
    return true;
  }
  simdjson::dom::array pair;
  return !element.get(pair) && pair.size() == 2 && !pair.at(0).get(left) && !pair.at(1).get(right);
}

void read_merges(simdjson::dom::array merges, Bpe& bpe, Problems& problems) {
  const Vocabulary& vocabulary = bpe.vocabulary();
  bpe.reserve_merges(merges.size());
  std::string bytes;  // of the left half, then of both
  std::size_t index = 0;
  for (const JsonElement element : merges) {
    if (problems.enough()) return;
    std::string_view left, right;
    const std::size_t rank = index++;
    if (!read_halves(element, left, right)) {
      std::string_view line;
      if (!element.get(line) && line.starts_with("#version")) continue;
      problems.malformed(fmt::format("{}[{}]", kMergesPath, rank), "is not a pair of tokens");
      continue;
    }
    bytes.clear();
    std::int32_t ids[3];
    const bool is_left_bytes = append_token_bytes(left, bytes);
    const std::size_t middle = bytes.size();
    if (is_left_bytes && append_token_bytes(right, bytes)) {
      const std::string_view both = bytes;
      ids[0] = vocabulary.find_bytes(both.substr(0, middle));
      ids[1] = vocabulary.find_bytes(both.substr(middle));
      ids[2] = vocabulary.find_bytes(both);
    } else {  // outside the byte alphabet: no text leads to it, but it must exist all the same
      ids[0] = vocabulary.find(left).value_or(-1);
      ids[1] = vocabulary.find(right).value_or(-1);
      ids[2] = vocabulary.find(std::string(left) + std::string(right)).value_or(-1);
    }
    if (ids[0] < 0 || ids[1] < 0 || ids[2] < 0) {
      problems.malformed(fmt::format("{}[{}]", kMergesPath, rank),
                         "names a token that the vocabulary does not have",
                         fmt::format("'{}' + '{}'", left, right));
      continue;
    }
    bpe.add_merge(ids[0], ids[1], ids[2]);
  }
}

}  // namespace

std::optional<Bpe> read_bpe(std::optional<JsonElement> element, Problems& problems) {
  if (!element) {
    problems.malformed("model", "is missing");
    return std::nullopt;
  }
  auto model = JsonObject::from(*element, "model", problems);
  if (!model) return std::nullopt;
  const std::string_view type = model->string("type");
  if (type != "BPE") {
    problems.unsupported("model", "this model is not supported (BPE is)", std::string(type));
    return std::nullopt;
  }
  const auto merges_element = model->find("merges");
  simdjson::dom::array merges;
  if (!merges_element || merges_element->get(merges))
    problems.malformed(kMergesPath, merges_element ? "is not an array" : "is missing");
  const auto vocab = find_vocab(*model, problems);
  if (!vocab) return std::nullopt;

  Vocabulary vocabulary = read_vocab(*vocab, problems);
  const Bpe::Options options = read_options(*model, vocabulary, problems);
  model->refuse_other_keys();
  if (problems.any()) return std::nullopt;
  Bpe bpe(std::move(vocabulary), options);
  read_merges(merges, bpe, problems);
  if (problems.any()) return std::nullopt;
  return bpe;
}

}  // namespace bobby::detail
