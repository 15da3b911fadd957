#include "tokenizer/components.h"

#include <array>
#include <fmt/format.h>
#include <utility>

namespace bobby::detail {
namespace {

constexpr int kMaxNesting = 8;  // of a Sequence in a Sequence; real files have one

/// Calls `visit(element, path)` for each element of the array `key`.
template <typename Visit>
void for_each(JsonObject& object, std::string_view key, Problems& problems, Visit visit) {
  const auto element = object.find(key);
  const std::string path = object.path_of(key);
  simdjson::dom::array array;
  if (!element || element->get(array)) {
    problems.malformed(path, "is not an array");
    return;
  }
  std::size_t index = 0;
  for (const JsonElement item : array) {
    if (problems.enough()) return;
    visit(item, fmt::format("{}[{}]", path, index++));
  }
}

bool read_normalizer(JsonElement element, const std::string& path, int depth, Problems& problems) {
  auto object = JsonObject::from(element, path, problems);
  if (!object) return false;
  const std::string_view type = object->string("type");
  bool normalizes = false;
  if (type == "NFC") {
    normalizes = true;
  } else if (type == "Sequence" && depth < kMaxNesting) {
    for_each(*object, "normalizers", problems, [&](JsonElement item, const std::string& at) {
      normalizes |= read_normalizer(item, at, depth + 1, problems);
    });
  } else {
    problems.unsupported(path, "this normalizer is not supported (NFC is)", std::string(type));
    return false;
  }
  object->refuse_other_keys();
  return normalizes;
}

/// Reads the tree of pre-tokenizers into a list of steps.
class PreTokenizerReader {
 public:
  explicit PreTokenizerReader(Problems& problems) : problems_(problems) {}

  void read(JsonElement element, const std::string& path, int depth) {
    auto object = JsonObject::from(element, path, problems_);
    if (!object) return;
    const std::string_view type = object->string("type");
    if (has_byte_level_) {
      problems_.unsupported(path, "a pre-tokenizer after ByteLevel is not supported",
                            std::string(type));
      return;
    }
    if (type == "Sequence" && depth < kMaxNesting) {
      for_each(*object, "pretokenizers", problems_,
               [&](JsonElement item, const std::string& at) { read(item, at, depth + 1); });
    } else if (type == "Split") {
      read_split(*object);
    } else if (type == "Digits") {
      steps_.add(make_digits_step(object->boolean("individual_digits")));
    } else if (type == "ByteLevel") {
      read_byte_level(*object);
    } else {
      problems_.unsupported(
          path, "this pre-tokenizer is not supported (Sequence, Split, Digits and ByteLevel are)",
          std::string(type));
      return;
    }
    object->refuse_other_keys();
  }

  PreTokenizer finish() {
    if (!has_byte_level_ && !problems_.any())
      problems_.unsupported("pre_tokenizer", "a tokenizer without ByteLevel is not supported");
    return std::move(steps_);
  }

 private:
  void read_byte_level(JsonObject& object) {
    has_byte_level_ = true;
    object.boolean("trim_offsets", true);  // concerns offsets only
    if (object.boolean("add_prefix_space")) steps_.add(make_prefix_space_step());
    if (object.boolean("use_regex", true))
      steps_.add(make_split_step(make_known_pattern(known_patterns::kGpt2),
                                 SplitBehavior::kIsolated, false));
  }

  void read_split(JsonObject& object) {
    auto pattern = read_pattern(object);
    const std::string_view name = object.string("behavior");
    const bool invert = object.boolean("invert");
    constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {{
        {"Removed", SplitBehavior::kRemoved},
        {"Isolated", SplitBehavior::kIsolated},
        {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
        {"MergedWithNext", SplitBehavior::kMergedWithNext},
        {"Contiguous", SplitBehavior::kContiguous},
    }};
    for (const auto& [known, behavior] : kBehaviors) {
      if (known != name) continue;
      if (pattern) steps_.add(make_split_step(std::move(pattern), behavior, invert));
      return;
    }
    problems_.unsupported(object.path_of("behavior"), "this behavior is not known",
                          std::string(name));
  }

  /// {"Regex": "..."} or {"String": "..."}; null if it is neither.
  std::unique_ptr<SplitPattern> read_pattern(JsonObject& object) {
    const auto element = object.find("pattern");
    if (!element) {
      problems_.malformed(object.path_of("pattern"), "is missing");
      return nullptr;
    }
    auto choice = JsonObject::from(*element, object.path_of("pattern"), problems_);
    if (!choice) return nullptr;
    const bool is_regex = choice->find("Regex").has_value();
    const std::string_view text = choice->string(is_regex ? "Regex" : "String");
    choice->refuse_other_keys();
    if (text.empty()) {
      problems_.unsupported(choice->path(), "an empty pattern is not supported");
      return nullptr;
    }
    if (!is_regex) return make_literal_pattern(std::string(text));
    if (auto known = make_known_pattern(text)) return known;
    auto pattern = make_regex_pattern(text, problems_.where(choice->path_of("Regex")));
    if (pattern) return *std::move(pattern);
    problems_.add(std::move(pattern).error());
    return nullptr;
  }

  Problems& problems_;
  PreTokenizer steps_;
  bool has_byte_level_ = false;
};

/// A template is fine if it is the text once, with special tokens around it.
void check_template(JsonObject& object, Problems& problems) {
  int texts = 0;
  for_each(object, "single", problems, [&](JsonElement item, const std::string& at) {
    auto piece = JsonObject::from(item, at, problems);
    if (!piece) return;
    if (const auto sequence = piece->find("Sequence")) {
      auto which = JsonObject::from(*sequence, piece->path_of("Sequence"), problems);
      if (which && which->string("id") == "A") ++texts;
    } else {
      piece->find("SpecialToken");
    }
    piece->refuse_other_keys();
  });
  if (texts != 1)
    problems.unsupported(object.path_of("single"), "a template without the text A just once");
  object.find("pair");
  object.find("special_tokens");
}

void check_post_processor(JsonElement element, const std::string& path, int depth,
                          Problems& problems) {
  auto object = JsonObject::from(element, path, problems);
  if (!object) return;
  const std::string_view type = object->string("type");
  if (type == "ByteLevel") {
    for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"})
      object->boolean(key, true);  // concern offsets only
  } else if (type == "TemplateProcessing") {
    check_template(*object, problems);
  } else if (type == "Sequence" && depth < kMaxNesting) {
    for_each(*object, "processors", problems, [&](JsonElement item, const std::string& at) {
      check_post_processor(item, at, depth + 1, problems);
    });
  } else {
    problems.unsupported(path, "this post-processor is not supported", std::string(type));
    return;
  }
  object->refuse_other_keys();
}

}  // namespace

bool read_normalizer(std::optional<JsonElement> element, Problems& problems) {
  return element && read_normalizer(*element, "normalizer", 0, problems);
}

PreTokenizer read_pre_tokenizer(std::optional<JsonElement> element, Problems& problems) {
  PreTokenizerReader reader(problems);
  if (element) reader.read(*element, "pre_tokenizer", 0);
  return reader.finish();
}

void check_post_processor(std::optional<JsonElement> element, Problems& problems) {
  if (element) check_post_processor(*element, "post_processor", 0, problems);
}

void check_decoder(std::optional<JsonElement> element, Problems& problems) {
  if (!element) {
    problems.unsupported("decoder", "a tokenizer without the ByteLevel decoder is not supported");
    return;
  }
  auto object = JsonObject::from(*element, "decoder", problems);
  if (!object) return;
  const std::string_view type = object->string("type");
  if (type != "ByteLevel") {
    problems.unsupported("decoder", "this decoder is not supported (ByteLevel is)",
                         std::string(type));
    return;
  }
  for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"})
    object->boolean(key, true);  // the decoder does not use them
  object->refuse_other_keys();
}

void check_padding(std::optional<JsonElement> element, Problems& problems) {
  if (!element) return;
  auto object = JsonObject::from(*element, "padding", problems);
  if (!object) return;
  const auto strategy = object->find("strategy");
  std::string_view name;
  if (!strategy || strategy->get(name) || name != "BatchLongest")
    problems.unsupported("padding.strategy", "only BatchLongest is supported; set padding to null");
  if (object->find("pad_to_multiple_of"))
    problems.unsupported("padding.pad_to_multiple_of", "is not supported; set padding to null");
}

}  // namespace bobby::detail
