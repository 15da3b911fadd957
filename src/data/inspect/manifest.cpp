#include "data/inspect/manifest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <nlohmann/json.hpp>

namespace bobby::inspection {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "bobby-dataset";
constexpr std::int64_t kVersion = 1;
constexpr std::uint64_t kLargest = std::uint64_t{16} << 20;

// Reads values by key; the first that is of another kind is kept as the problem.
class Reader {
 public:
  explicit Reader(std::string where) : where_(std::move(where)) {}

  std::string text(const Json& object, const char* key) {
    const Json* value = find(object, key);
    if (value == nullptr) return {};
    if (!value->is_string()) return problem(key, "a text"), std::string();
    return value->get<std::string>();
  }
  std::uint64_t count(const Json& object, const char* key) {
    const Json* value = find(object, key);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned()) return problem(key, "a whole number"), 0;
    return value->get<std::uint64_t>();
  }
  double number(const Json& object, const char* key, double otherwise) {
    const Json* value = find(object, key);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) return problem(key, "a number"), otherwise;
    return value->get<double>();
  }
  std::map<std::string, std::uint64_t> counts(const Json& object, const char* key) {
    std::map<std::string, std::uint64_t> found;
    const Json* value = find(object, key);
    if (value == nullptr) return found;
    if (!value->is_object()) return problem(key, "an object of counts"), found;
    for (const auto& [name, number] : value->items()) {
      if (!number.is_number_unsigned()) return problem(key, "an object of counts"), found;
      found[name] = number.get<std::uint64_t>();
    }
    return found;
  }
  const Json& list(const Json& object, const char* key) {
    static const Json kEmpty = Json::array();
    const Json* value = find(object, key);
    if (value == nullptr) return kEmpty;
    if (!value->is_array()) return problem(key, "an array"), kEmpty;
    for (const Json& one : *value)
      if (!one.is_object()) return problem(key, "an array of objects"), kEmpty;
    return *value;
  }

  void problem(const char* key, std::string expected) {
    if (error_) return;
    error_ = {.code = ErrorCode::kMalformed,
              .where = fmt::format("{}: key '{}'", where_, key),
              .problem = "is of another kind",
              .expected = std::move(expected)};
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  static const Json* find(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  std::string where_;
  std::optional<Error> error_;
};

ManifestSource read_source(const Json& object, Reader& reader) {
  ManifestSource source;
  source.kind = reader.text(object, "kind");
  source.name = reader.text(object, "name");
  source.weight = reader.number(object, "weight", 1.0);
  source.read = reader.count(object, "read");
  source.taken = reader.count(object, "taken");
  source.left_out = reader.counts(object, "left_out");
  source.noted = reader.counts(object, "noted");
  source.train_posts = reader.count(object, "train_posts");
  source.train_records = reader.count(object, "train_records");
  source.valid_posts = reader.count(object, "valid_posts");
  return source;
}

// Values and lists of values; dump() would follow hostile nesting as deep as it goes.
std::string value_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_structured()) return value.dump();
  std::vector<std::string> texts;
  for (const Json& one : value)
    texts.push_back(one.is_structured() ? "..."
                    : one.is_string()   ? one.get<std::string>()
                                        : one.dump());
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

Result<std::optional<Manifest>> read_manifest(const std::filesystem::path& folder) {
  const auto file = folder / "manifest.json";
  std::error_code status;
  if (!std::filesystem::exists(file, status)) return std::optional<Manifest>();
  const auto refuse = [&](ErrorCode code, std::string problem) {
    return fail({.code = code,
                 .where = file.string(),
                 .problem = std::move(problem),
                 .hint = "move it away to look at the rest without it"});
  };
  const auto size = std::filesystem::file_size(file, status);
  if (status) return refuse(ErrorCode::kIo, "is not a file that can be read");
  if (size > kLargest) return refuse(ErrorCode::kLimit, "is larger than 16 MB");
  std::ifstream stream(file, std::ios::binary);
  const Json json = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return refuse(ErrorCode::kMalformed, "is not a JSON object");
  Reader reader(file.string());
  if (reader.text(json, "format") != kFormat)
    return refuse(
        ErrorCode::kMalformed,
        fmt::format("is not of the format \"{}\" that `bobby data import` writes", kFormat));
  if (reader.count(json, "version") != kVersion)
    return refuse(ErrorCode::kUnsupported, "is of a version that is not known here");
  Manifest manifest;
  for (const Json& source : reader.list(json, "sources"))
    manifest.sources.push_back(read_source(source, reader));
  for (const Json& one : reader.list(json, "files"))
    manifest.file_sha256[reader.text(one, "name")] = reader.text(one, "sha256");
  if (const auto settings = json.find("settings"); settings != json.end() && settings->is_object())
    for (const auto& [name, value] : settings->items())
      manifest.settings.emplace_back(name, value_text(value));
  if (reader.error()) return fail(*reader.error());
  return std::optional<Manifest>(std::move(manifest));
}

}  // namespace bobby::inspection
