#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::inspection {

/// The four forms that mlx-lm trains on: a conversation, one with tools, a prompt with its
/// completion, or plain text.
enum class RecordForm : std::uint8_t { kChat, kTools, kCompletions, kText };
inline constexpr std::size_t kRecordForms = 4;
/// "chat", "tools", "completions", "text"
std::string_view name_of(RecordForm form);

/// One turn of a record. A completion's two texts are a "user"'s and an "assistant"'s; plain text
/// is one turn with an empty role.
struct RecordTurn {
  std::string role;  ///< "system", "user", "assistant", "tool" or ""
  std::string text;
};

/// One line of a data file.
struct DataRecord {
  std::int64_t line = 0;  ///< from 1
  RecordForm form = RecordForm::kChat;
  std::vector<RecordTurn> turns;  ///< at least one
  std::string language;  ///< key "language" or "lang" beside the form's own, if it is a text
  std::string source;    ///< key "source", likewise
  std::string json;      ///< the line as it stands

  /// What is learned: the last turn.
  const std::string& answer() const { return turns.back().text; }
  /// The user's last turn before the answer, or "".
  std::string_view prompt() const;
  /// The system's turn, or "".
  std::string_view system() const;
};

/// A data file, read whole.
struct DataFile {
  std::string name;  ///< "train.jsonl"
  std::string sha256;
  std::uint64_t bytes = 0;
  std::int64_t blank_lines = 0;  ///< skipped; mlx-lm refuses them
  std::vector<DataRecord> records;
};

/// Longest line and largest file that are read.
inline constexpr std::size_t kLongestLine = std::size_t{16} << 20;
inline constexpr std::size_t kLargestFile = std::size_t{1} << 30;

/// Reads a JSONL file in any of the forms. kNotFound, kIo, kLimit; kMalformed names FILE:LINE, what
/// was expected and found, up to 16 lines in one Error.
Result<DataFile> read_data_file(const std::filesystem::path& file);
/// The same of `text`, which `name` names in errors.
Result<DataFile> parse_data(std::string_view text, std::string_view name);

}  // namespace bobby::inspection
