#pragma once

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/inspect/inspect.h"

namespace bobby::inspection {

/// A file of completions with one prompt.
inline DataFile file_of(const std::string& name, const std::vector<std::string>& answers,
                        const std::string& prompt = "write") {
  std::string text;
  for (const std::string& answer : answers)
    text += nlohmann::json{{"prompt", prompt}, {"completion", answer}}.dump() + "\n";
  auto file = parse_data(text, name);
  EXPECT_TRUE(file.has_value());
  return *std::move(file);
}

/// Every byte is a token; the prompt is masked, and 0 ends the answer.
inline TokenSource byte_tokens() {
  TokenSource source;
  source.model = "bytes";
  source.prompt_form = "raw";
  source.tokenize = [](const DataRecord& record) -> Result<RecordTokens> {
    RecordTokens made;
    for (const char c : record.prompt()) made.tokens.push_back(static_cast<unsigned char>(c));
    made.loss_begin = static_cast<std::int64_t>(made.tokens.size());
    if (record.answer() == "refuse me")
      return fail({.code = ErrorCode::kUsage, .where = "answer", .problem = "holds a marker"});
    for (const char c : record.answer()) made.tokens.push_back(static_cast<unsigned char>(c));
    made.tokens.push_back(0);
    return made;
  };
  source.bytes = [](std::int32_t id) {
    return id == 0 ? std::string("<end>") : std::string(1, static_cast<char>(id));
  };
  return source;
}

inline Report report_of(const std::vector<DataFile>& files, const InspectOptions& options = {}) {
  auto report = inspect_files(files, options);
  EXPECT_TRUE(report.has_value()) << report.error().to_string();
  return *std::move(report);
}

/// The warning with `code`, or nullptr.
inline const Warning* warning(const Report& report, std::string_view code) {
  for (const Warning& one : report.warnings)
    if (one.code == code) return &one;
  return nullptr;
}

}  // namespace bobby::inspection
