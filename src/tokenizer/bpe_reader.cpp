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
      if (!vocabulary.add(field.key, static_cast<std::int32_t>(id)))
        problems.malformed(kVocabPath,
                           fmt::format("the id of token '{}' is another's too", field.key),
                           std::to_string(id));
    }
  }
  if (const std::int32_t id = vocabulary.index(); id >= 0)
    problems.malformed(kVocabPath, "a token stands twice", fmt::format("with id {}", id));
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

/// The merges as the bytes of their halves, one after another: looking tokens up is a matter of
/// cache misses, which overlap when the lookups are known ahead.
class MergeList {
 public:
  void reserve(std::size_t merges, std::size_t bytes) {
    merges_.reserve(merges);
    bytes_.reserve(bytes);
  }
  /// `index`: the place in the file.
  void add(std::size_t index, std::string_view left, std::string_view right) {
    const std::size_t begin = bytes_.size();
    const bool is_left_bytes = append_token_bytes(left, bytes_);
    const std::size_t middle = bytes_.size();
    if (is_left_bytes && append_token_bytes(right, bytes_)) {
      merges_.push_back({index, begin, middle, bytes_.size(), true});
      return;
    }
    // Outside the byte alphabet: no text leads to it, but it must exist all the same.
    bytes_.resize(begin);
    bytes_.append(left).append(right);
    merges_.push_back({index, begin, begin + left.size(), bytes_.size(), false});
  }

  /// Adds the merges to `bpe` in order.
  void add_to(Bpe& bpe, Problems& problems) const {
    constexpr std::size_t kAhead = 16;
    const Vocabulary& vocabulary = bpe.vocabulary();
    std::vector<Bpe::NewMerge> found;
    found.reserve(merges_.size());
    std::int32_t merged = -1;
    for (std::size_t i = 0; i < merges_.size() && !problems.enough(); ++i) {
      if (i + kAhead < merges_.size()) {
        vocabulary.prefetch(left(merges_[i + kAhead]));
        vocabulary.prefetch(right(merges_[i + kAhead]));
      }
      const Merge& merge = merges_[i];
      const auto find = [&](std::string_view token) {
        return merge.is_bytes ? vocabulary.find_bytes(token) : vocabulary.find(token).value_or(-1);
      };
      const std::int32_t left_id = find(left(merge));
      const std::int32_t right_id = find(right(merge));
      // Most files number the tokens in the order of the merges that make them.
      merged = merge.is_bytes ? vocabulary.find_bytes(both(merge), merged + 1) : find(both(merge));
      if (left_id < 0 || right_id < 0 || merged < 0)
        problems.malformed(fmt::format("{}[{}]", kMergesPath, merge.index),
                           "a half, or both together, are not in the vocabulary");
      else
        found.push_back({left_id, right_id, merged});
    }
    bpe.add_merges(found);
  }

 private:
  struct Merge {
    std::size_t index, begin, middle, end;
    bool is_bytes;
  };
  std::string_view part(std::size_t begin, std::size_t end) const {
    return std::string_view(bytes_).substr(begin, end - begin);
  }
  std::string_view left(const Merge& merge) const { return part(merge.begin, merge.middle); }
  std::string_view right(const Merge& merge) const { return part(merge.middle, merge.end); }
  std::string_view both(const Merge& merge) const { return part(merge.begin, merge.end); }

  std::vector<Merge> merges_;
  std::string bytes_;
};

void read_merges(simdjson::dom::array array, Bpe& bpe, Problems& problems) {
  MergeList merges;
  merges.reserve(array.size(), array.size() * 8);
  std::size_t index = 0;
  for (const JsonElement element : array) {
    if (problems.enough()) return;
    std::string_view left, right;
    const std::size_t here = index++;
    if (read_halves(element, left, right)) {
      merges.add(here, left, right);
      continue;
    }
    std::string_view line;
    if (!element.get(line) && line.starts_with("#version")) continue;  // the header of merges.txt
    problems.malformed(fmt::format("{}[{}]", kMergesPath, here), "is not a pair of tokens");
  }
  merges.add_to(bpe, problems);
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
