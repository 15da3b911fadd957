#include "data/inspect/measure.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <unordered_map>

#include "voice/graphemes.h"
#include "voice/post_rules.h"

namespace bobby::inspection {
namespace {

constexpr std::int64_t kBatchSizes[] = {1, 4, 8};

std::int64_t count_code_points(std::string_view text) {
  return std::ranges::count_if(text,
                               [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; });
}

bool has_link(std::string_view text) {
  return text.find("://") != std::string_view::npos || text.find("www.") != std::string_view::npos;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// An @ that begins a word: "@ann", and not "ann@example.org".
bool has_mention(std::string_view text) {
  for (std::size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    const bool begins = at == 0 || (!is_word(text[at - 1]) && text[at - 1] != '.');
    if (begins && at + 1 < text.size() && is_word(text[at + 1])) return true;
  }
  return false;
}

void count_habits(const std::string& text, Habits& habits) {
  const PostRules rules = {.stops = {}, .char_limit = 0, .min_chars = 0};
  const CleanPost clean = clean_post(text, rules);
  habits.links += has_link(text);
  habits.mentions += has_mention(text);
  habits.hashtags += clean.removed_hashtags > 0;
  habits.emojis += clean.removed_emojis > 0;
  habits.line_breaks += text.find('\n') != std::string::npos;
}

bool is_empty(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

void measure_tokens(const DataFile& file, const InspectOptions& options, Measured& measured) {
  TokenReport report;
  std::vector<std::int64_t> trained;
  const std::int64_t limit = options.max_seq_length;
  std::uint64_t done = 0;
  for (const DataRecord& record : file.records) {
    if (options.progress && ++done % 64 == 0)
      options.progress({"tokenize", done, file.records.size()});
    auto made = options.tokens.tokenize(record);
    if (!made) {
      ++report.refused;
      measured.refused_lines.push_back(record.line);
      if (measured.refusal.empty()) measured.refusal = made.error().to_string();
      continue;
    }
    const auto length = static_cast<std::int64_t>(made->tokens.size());
    const std::int64_t kept = std::min(length, limit);
    // The first token is nobody's target.
    const std::int64_t begin = std::max<std::int64_t>(made->loss_begin, 1);
    measured.tokens.push_back(length);
    trained.push_back(std::max<std::int64_t>(kept - begin, 0));
    if (trained.back() == 0) measured.untrained_lines.push_back(record.line);
    if (length > limit) {
      measured.cut_lines.push_back(record.line);
      report.cut_tokens += length - limit;
    }
  }
  report.untrained = static_cast<std::int64_t>(measured.untrained_lines.size());
  report.cut_records = static_cast<std::int64_t>(measured.cut_lines.size());
  report.all = describe(measured.tokens);
  report.trained = describe(std::move(trained));
  for (const std::int64_t size : kBatchSizes)
    report.padded.push_back(padded_cost(measured.tokens, size, limit));
  measured.split.tokens = std::move(report);
}

}  // namespace

Measured measure(const DataFile& file, const InspectOptions& options) {
  Measured measured;
  SplitReport& split = measured.split;
  split.file = file.name;
  split.name = file.name.substr(0, file.name.rfind(".jsonl"));
  split.sha256 = file.sha256;
  split.bytes = file.bytes;
  split.blank_lines = file.blank_lines;
  split.records = static_cast<std::int64_t>(file.records.size());
  for (const DataRecord& record : file.records) {
    const std::string& text = record.answer();
    ++split.forms[record.form];
    measured.characters.push_back(count_code_points(text));
    measured.graphemes.push_back(count_graphemes(text));
    count_habits(text, split.habits);
    if (is_empty(text)) measured.empty_lines.push_back(record.line);
    if (record.form != RecordForm::kText && record.turns.back().role != "assistant")
      measured.ending_lines.push_back(record.line);
  }
  split.empty = static_cast<std::int64_t>(measured.empty_lines.size());
  split.other_endings = static_cast<std::int64_t>(measured.ending_lines.size());
  split.characters = describe(measured.characters);
  split.graphemes = describe(measured.graphemes);
  if (options.tokens) measure_tokens(file, options, measured);
  return measured;
}

TextCounts count_texts(const std::vector<DataFile>& files, std::size_t most,
                       const std::function<std::string_view(const DataRecord&)>& text_of) {
  std::vector<TextCount> found;
  std::unordered_map<std::string_view, std::size_t> index;
  for (std::size_t split = 0; split < files.size(); ++split)
    for (const DataRecord& record : files[split].records) {
      const std::string_view text = text_of(record);
      if (text.empty()) continue;
      const auto [at, is_new] = index.try_emplace(text, found.size());
      if (is_new) found.push_back({std::string(text), std::vector<std::int64_t>(files.size(), 0)});
      ++found[at->second].counts[split];
    }
  std::ranges::stable_sort(found, std::greater(), &TextCount::total);
  TextCounts counts;
  counts.distinct = static_cast<std::int64_t>(found.size());
  for (std::size_t i = most; i < found.size(); ++i) counts.other += found[i].total();
  if (found.size() > most) found.resize(most);
  counts.most = std::move(found);
  return counts;
}

}  // namespace bobby::inspection
