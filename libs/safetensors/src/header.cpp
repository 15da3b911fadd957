#include "header.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <string>

#include "json.h"
#include "text.h"

namespace safetensors {
namespace dom = simdjson::dom;
namespace {

constexpr std::string_view kMetadataKey = "__metadata__";

Error entry_error(ErrorCode code, std::string_view tensor, std::string problem,
                  std::string expected = {}, std::string_view found = {}) {
  return {.code = code,
          .tensor = std::string(tensor),
          .problem = std::move(problem),
          .expected = std::move(expected),
          .found = printable(found)};
}

std::string quoted(std::string_view key) {
  return std::string("'").append(printable(key)).append("'");
}

Metadata parse_metadata(dom::element value, Problems& problems) {
  Metadata metadata;
  if (value.is_null()) return metadata;  // the official reader's "none"
  dom::object object;
  if (value.get(object)) {
    problems.add({.code = ErrorCode::kHeaderInvalid,
                  .problem = "__metadata__ is not an object",
                  .found = std::string(kind(value))});
    return metadata;
  }
  for (const dom::key_value_pair field : object) {
    const std::optional<std::string_view> text = as_string(field.value);
    if (!text || !is_utf8(field.key)) {
      problems.add({.code = ErrorCode::kHeaderInvalid,
                    .problem = "__metadata__ key " + quoted(field.key) + " is not a UTF-8 string",
                    .found = std::string(kind(field.value))});
    } else if (!metadata.emplace(field.key, *text).second) {
      problems.add({.code = ErrorCode::kDuplicateKey,
                    .problem = "__metadata__ key " + quoted(field.key) + " stands twice"});
    }
  }
  return metadata;
}

// The numbers of `value`, if it is an array of nothing else.
std::optional<std::vector<std::uint64_t>> parse_numbers(dom::element value) {
  dom::array array;
  if (value.get(array)) return std::nullopt;
  std::vector<std::uint64_t> numbers;
  for (const dom::element item : array) {
    const std::optional<std::uint64_t> number = as_unsigned(item);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  return numbers;
}

// Reads one entry of the header key by key; each setter adds what is wrong with its value.
class EntryParser {
 public:
  EntryParser(std::string_view name, Problems& problems) : name_(name), problems_(problems) {
    tensor_.name = name;
  }

  std::optional<Tensor> parse(dom::element value) {
    dom::object object;
    if (value.get(object)) {
      problem(ErrorCode::kHeaderInvalid, "the entry is not an object",
              "{\"dtype\", \"shape\", \"data_offsets\"}", kind(value));
      return std::nullopt;
    }
    for (const dom::key_value_pair field : object) set(field.key, field.value);
    for (std::size_t key = 0; key < kKeys.size(); ++key)
      if (!seen_[key])
        problem(ErrorCode::kHeaderInvalid, "key " + quoted(kKeys[key]) + " is missing");
    if (!good_) return std::nullopt;
    return std::move(tensor_);
  }

 private:
  static constexpr std::array<std::string_view, 3> kKeys = {"dtype", "shape", "data_offsets"};

  void set(std::string_view key, dom::element value) {
    const auto* known = std::find(kKeys.begin(), kKeys.end(), key);
    if (known == kKeys.end()) {
      problem(ErrorCode::kUnknownKey, "unknown key " + quoted(key), "dtype, shape, data_offsets");
      return;
    }
    bool& seen = seen_[static_cast<std::size_t>(known - kKeys.begin())];
    if (seen) {
      problem(ErrorCode::kDuplicateKey, "key " + quoted(key) + " stands twice");
    } else if (key == "dtype") {
      set_dtype(value);
    } else if (key == "shape") {
      set_shape(value);
    } else {
      set_offsets(value);
    }
    seen = true;
  }

  void set_dtype(dom::element value) {
    const std::optional<std::string_view> text = as_string(value);
    const std::optional<DType> dtype = text ? parse_dtype(*text) : std::nullopt;
    if (dtype) {
      tensor_.dtype = *dtype;
    } else if (text) {
      problem(ErrorCode::kUnknownDType, "unknown dtype", "one of the format's (F32, BF16, ...)",
              *text);
    } else {
      problem(ErrorCode::kHeaderInvalid, "dtype is not a string", {}, kind(value));
    }
  }

  void set_shape(dom::element value) {
    if (auto shape = parse_numbers(value)) {
      tensor_.shape = std::move(*shape);
    } else {
      problem(ErrorCode::kHeaderInvalid, "shape is not an array of whole numbers from 0");
    }
  }

  void set_offsets(dom::element value) {
    const auto offsets = parse_numbers(value);
    if (!offsets || offsets->size() != 2) {
      problem(ErrorCode::kHeaderInvalid, "data_offsets is not two whole numbers from 0");
      return;
    }
    tensor_.begin = (*offsets)[0];
    tensor_.end = (*offsets)[1];
  }

  void problem(ErrorCode code, std::string text, std::string expected = {},
               std::string_view found = {}) {
    good_ = false;
    problems_.add(entry_error(code, name_, std::move(text), std::move(expected), found));
  }

  std::string_view name_;
  Problems& problems_;
  Tensor tensor_;
  std::array<bool, 3> seen_ = {};
  bool good_ = true;
};

}  // namespace

Header parse_header(std::string_view json, Problems& problems) {
  Header header;
  dom::parser parser;
  const Result<dom::object> root = parse_object(parser, json);
  if (!root) {
    problems.add(root.error());
    return header;
  }
  bool metadata_seen = false;
  for (const dom::key_value_pair field : *root) {
    if (field.key == kMetadataKey) {
      if (metadata_seen)
        problems.add({.code = ErrorCode::kDuplicateKey, .problem = "__metadata__ stands twice"});
      metadata_seen = true;
      header.metadata = parse_metadata(field.value, problems);
    } else if (!is_utf8(field.key)) {
      problems.add(
          entry_error(ErrorCode::kHeaderNotUtf8, field.key, "the tensor's name is not UTF-8"));
    } else if (auto tensor = EntryParser(field.key, problems).parse(field.value)) {
      header.tensors.push_back(std::move(*tensor));
    }
  }
  return header;
}

std::vector<std::uint32_t> sort_by_name(std::span<const Tensor> tensors, Problems& problems) {
  std::vector<std::uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto name = [&](std::uint32_t index) -> std::string_view { return tensors[index].name; };
  std::ranges::sort(order, {}, name);
  for (std::size_t i = 1; i < order.size(); ++i)
    if (name(order[i - 1]) == name(order[i]))
      problems.add(entry_error(ErrorCode::kDuplicateKey, name(order[i]), "the name stands twice"));
  return order;
}

}  // namespace safetensors
