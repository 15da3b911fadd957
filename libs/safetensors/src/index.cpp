#include "index.h"

#include <optional>
#include <utility>

#include "atomic_file.h"
#include "json.h"
#include "problems.h"
#include "safetensors/mapped_file.h"
#include "safetensors/reader.h"
#include "safetensors/sharded.h"
#include "text.h"

namespace safetensors {
namespace dom = simdjson::dom;
namespace {

// An index comes from elsewhere: it may name files beside it and no others.
bool is_plain(std::string_view file_name) {
  return !file_name.empty() && file_name != "." && file_name != ".." &&
         file_name.find('/') == std::string_view::npos &&
         file_name.find('\0') == std::string_view::npos;
}

void read_entry(const dom::key_value_pair& field, WeightMap& map, Problems& problems) {
  const std::optional<std::string_view> file_name = as_string(field.value);
  Error error = {.tensor = std::string(field.key)};
  if (!file_name || !is_utf8(field.key)) {
    error.code = ErrorCode::kHeaderInvalid;
    error.problem = "weight_map does not give a UTF-8 file name";
    error.found = kind(field.value);
  } else if (!is_plain(*file_name)) {
    error.code = ErrorCode::kIndexMismatch;
    error.problem = "weight_map leads out of the index's folder";
    error.found = printable(*file_name);
  } else if (!map.emplace(field.key, *file_name).second) {
    error.code = ErrorCode::kDuplicateKey;
    error.problem = "the name stands twice in weight_map";
  } else {
    return;
  }
  problems.add(std::move(error));
}

void read_entries(const dom::object& root, WeightMap& map, Problems& problems) {
  bool seen = false;
  for (const dom::key_value_pair field : root) {
    if (field.key != "weight_map") continue;
    dom::object entries;
    if (std::exchange(seen, true)) {
      problems.add({.code = ErrorCode::kDuplicateKey, .problem = "weight_map stands twice"});
    } else if (field.value.get(entries)) {
      problems.add({.code = ErrorCode::kHeaderInvalid,
                    .problem = "weight_map is not an object",
                    .found = std::string(kind(field.value))});
    } else {
      for (const dom::key_value_pair entry : entries) read_entry(entry, map, problems);
    }
  }
  if (!seen)
    problems.add({.code = ErrorCode::kHeaderInvalid, .problem = "key 'weight_map' is missing"});
}

}  // namespace

Result<WeightMap> read_index(const std::filesystem::path& path) {
  const Result<MappedFile> file = MappedFile::open(path);
  if (!file) return fail(file.error());
  Problems problems(path.string());
  WeightMap map;
  const std::span<const std::byte> bytes = file->bytes();
  if (bytes.size() > kMaxHeaderBytes) {
    problems.add({.code = ErrorCode::kHeaderTooLarge,
                  .problem = "the index is beyond the limit",
                  .expected = "at most " + std::to_string(kMaxHeaderBytes) + " bytes",
                  .found = std::to_string(bytes.size())});
  } else {
    dom::parser parser;
    const Result<dom::object> root =
        parse_object(parser, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (root)
      read_entries(*root, map, problems);
    else
      problems.add(root.error());
  }
  if (!problems.empty()) return fail(problems.join());
  return map;
}

Result<void> write_index(const std::filesystem::path& path,
                         const std::map<std::string, std::string>& weight_map,
                         std::uint64_t total_size) {
  return guard(path.string(), [&]() -> Result<void> {
    std::string json = "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total_size) +
                       "\n  },\n  \"weight_map\": {";
    const char* separator = "\n    ";
    for (const auto& [tensor, file_name] : weight_map) {
      if (!is_utf8(tensor) || !is_utf8(file_name) || !is_plain(file_name))
        return fail({.code = ErrorCode::kInvalidArgument,
                     .file = path.string(),
                     .tensor = tensor,
                     .problem = "tensor and file name must be UTF-8, the latter without a folder",
                     .found = printable(file_name)});
      json += separator;
      append_json_string(json, tensor);
      json += ": ";
      append_json_string(json, file_name);
      separator = ",\n    ";
    }
    json += "\n  }\n}\n";
    Result<AtomicFile> file = AtomicFile::create(path);
    if (!file) return fail(std::move(file).error());
    if (auto written = file->write_at(0, std::as_bytes(std::span(json))); !written) return written;
    return file->commit();
  });
}

}  // namespace safetensors
