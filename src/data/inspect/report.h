#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/inspect/lengths.h"
#include "data/inspect/records.h"

namespace bobby::inspection {

/// Where a record stands: index of its split in Report::splits, and its line.
struct RecordPlace {
  std::size_t split = 0;
  std::int64_t line = 0;
  bool operator==(const RecordPlace&) const = default;
};

/// What posts of a split hold that a voice will learn to write.
struct Habits {
  std::int64_t links = 0;
  std::int64_t mentions = 0;
  std::int64_t hashtags = 0;
  std::int64_t emojis = 0;
  std::int64_t line_breaks = 0;
};

/// A split in tokens. Records that the tokenizer's side refused are counted in `refused` alone.
struct TokenReport {
  Distribution all;              ///< prompt, answer and the marks between
  Distribution trained;          ///< that the loss is taken over, within max_seq_length
  std::int64_t cut_records = 0;  ///< longer than max_seq_length
  std::int64_t cut_tokens = 0;
  std::int64_t untrained = 0;  ///< records of which no token is trained
  std::int64_t refused = 0;
  std::vector<BatchCost> padded;  ///< at 1, 4 and 8 a batch
};

/// train.jsonl, valid.jsonl or test.jsonl.
struct SplitReport {
  std::string name;  ///< "train"
  std::string file;  ///< "train.jsonl"
  std::string sha256;
  std::uint64_t bytes = 0;
  std::int64_t records = 0;
  std::int64_t blank_lines = 0;
  std::map<RecordForm, std::int64_t> forms;
  std::int64_t empty = 0;          ///< records with nothing to learn
  std::int64_t other_endings = 0;  ///< conversations that do not end with the assistant's turn
  Distribution characters;         ///< code points of the answer
  Distribution graphemes;          ///< what a reader counts
  std::optional<TokenReport> tokens;
  Habits habits;
};

/// Two records that say the same, or nearly.
struct RepeatPair {
  RecordPlace earlier;
  RecordPlace later;
  std::string earlier_text;
  std::string later_text;
};

/// Records whose answer another record has, too. A record is counted once: between two splits if
/// its like stands in an earlier split, else within its own.
struct Repeats {
  std::vector<std::int64_t> within;                ///< by split
  std::vector<std::vector<std::int64_t>> between;  ///< [split][earlier split]
  std::vector<RepeatPair> examples;                ///< some, those between splits first

  std::int64_t total_within() const;
  std::int64_t total_between() const;
};

/// A text and how many records of each split have it.
struct TextCount {
  std::string text;
  std::vector<std::int64_t> counts;  ///< by split
  std::int64_t total() const;
};

/// The most frequent texts of a kind.
struct TextCounts {
  std::int64_t distinct = 0;
  std::vector<TextCount> most;  ///< most frequent first
  std::int64_t other = 0;       ///< records whose text is not among `most`
};

/// Tokens that are shown as one: those whose bytes make up whole characters.
struct TokenPiece {
  std::string text = {};               ///< valid UTF-8
  std::vector<std::int32_t> ids = {};  ///< at least one
  bool trained = false;                ///< the loss is taken over it
  bool cut = false;                    ///< lies beyond max_seq_length
};

/// A record that is shown.
struct Sample {
  RecordPlace place;
  RecordForm form = RecordForm::kChat;
  std::vector<RecordTurn> turns = {};
  std::int64_t graphemes = 0;
  std::vector<TokenPiece> pieces = {};  ///< empty without a tokenizer, or if it was refused
  std::int64_t tokens = 0;
  std::int64_t trained = 0;
  std::string refused = {};  ///< why there are no tokens
};

enum class WarningLevel : std::uint8_t { kNote, kWarning };

/// Something that looks wrong, in words.
struct Warning {
  WarningLevel level = WarningLevel::kWarning;
  std::string code;  ///< stable: "leak_exact"
  std::string text;
  std::vector<RecordPlace> places;  ///< some of the records concerned
};

/// One source of manifest.json.
struct ManifestSource {
  std::string kind;  ///< "twitter"
  std::string name;
  double weight = 1.0;
  std::uint64_t read = 0;
  std::uint64_t taken = 0;
  std::map<std::string, std::uint64_t> left_out;  ///< by reason
  std::map<std::string, std::uint64_t> noted;     ///< what was done to posts, and how often
  std::uint64_t train_posts = 0;
  std::uint64_t train_records = 0;  ///< with the copies that the weight asks for
  std::uint64_t valid_posts = 0;
};

/// What manifest.json says.
struct Manifest {
  std::vector<ManifestSource> sources;
  std::map<std::string, std::string> file_sha256;             ///< by file name
  std::vector<std::pair<std::string, std::string>> settings;  ///< values as JSON

  /// Records of train.jsonl that repeat another because a weight asks for it.
  std::int64_t copies() const;
};

/// All that `bobby data inspect` shows.
struct Report {
  std::string folder;       ///< as it was named
  std::string name;         ///< its last part
  std::string model;        ///< name of the tokenizer's model; "" without one
  std::string prompt_form;  ///< likewise
  std::int64_t max_seq_length = 0;
  std::vector<SplitReport> splits;
  Histogram characters;  ///< sets are the splits
  Histogram graphemes;
  Histogram tokens;  ///< no sets without a tokenizer
  Repeats exact;
  Repeats near;
  TextCounts prompts;
  TextCounts systems;
  TextCounts languages;  ///< none if no record tells
  TextCounts sources;    ///< of the records themselves, likewise
  std::optional<Manifest> manifest;
  std::vector<Sample> samples;
  std::vector<Warning> warnings;

  std::int64_t records() const;
  /// Exact repeats inside train.jsonl that the weights of the manifest's sources ask for.
  std::int64_t asked_repeats() const;
  /// "train.jsonl:12"
  std::string place_text(const RecordPlace& place) const;
};

}  // namespace bobby::inspection
