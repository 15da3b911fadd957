#include "app/config_file.h"

#define TOML_EXCEPTIONS 0
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <toml++/toml.h>

namespace bobby {
namespace {

std::optional<std::string> scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return fmt::format("{}", integer->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* boolean = node.as_boolean()) return boolean->get() ? "true" : "false";
  return std::nullopt;
}

std::optional<std::vector<std::string>> value_texts(const toml::node& node) {
  const toml::array* array = node.as_array();
  if (array == nullptr) {
    auto text = scalar_text(node);
    if (!text) return std::nullopt;
    return std::vector{*std::move(text)};
  }
  std::vector<std::string> texts;
  for (const toml::node& element : *array) {
    auto text = scalar_text(element);
    if (!text) return std::nullopt;
    texts.push_back(*std::move(text));
  }
  return texts;
}

// Entries of a table, whose keys begin with `prefix`; of tables within it when that is empty.
Result<void> add_entries(const toml::table& table, const std::string& prefix,
                         const std::filesystem::path& file, std::vector<ConfigEntry>& entries) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table(); inner != nullptr && prefix.empty()) {
      BOBBY_CHECK(add_entries(*inner, name + ".", file, entries));
      continue;
    }
    const int line = static_cast<int>(node.source().begin.line);
    auto values = value_texts(node);
    if (!values)
      return fail({.code = ErrorCode::kUsage,
                   .where = fmt::format("{}:{}: key '{}'", file.string(), line, name),
                   .problem = "is not a plain value",
                   .expected = "a text, number, true, false or a list of them"});
    entries.push_back({name, *std::move(values), line});
  }
  return {};
}

}  // namespace

Result<std::vector<ConfigEntry>> read_config_file(const std::filesystem::path& file) {
  std::error_code status;
  if (std::filesystem::is_directory(file, status))
    return fail(
        {.code = ErrorCode::kIo, .where = file.string(), .problem = "is a folder, not a file"});
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream)
    return fail({.code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                 .where = file.string(),
                 .problem = fmt::format("cannot be read ({})", std::strerror(errno))});
  const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};

  const toml::parse_result parsed = toml::parse(std::string_view(text), file.string());
  if (!parsed)
    return fail({.code = ErrorCode::kUsage,
                 .where = fmt::format("{}:{}", file.string(), parsed.error().source().begin.line),
                 .problem = fmt::format("is not TOML ({})", parsed.error().description())});

  std::vector<ConfigEntry> entries;
  BOBBY_CHECK(add_entries(parsed.table(), "", file, entries));
  std::ranges::sort(entries, {}, &ConfigEntry::line);
  return entries;
}

}  // namespace bobby
