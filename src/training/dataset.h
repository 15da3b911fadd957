#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/tokenizer.h"
#include "training/config.h"
#include "voice/prompt_form.h"

namespace bobby {

/// A record as the model sees it.
struct TrainingExample {
  std::vector<std::int32_t> tokens;  ///< at most max_seq_length
  /// tokens[i] is a target that is trained for i >= max(1, loss_begin); may lie past the end.
  std::int64_t loss_begin = 0;
  std::int64_t record = 0;  ///< line of the file, from 1
  std::int64_t keys = 0;    ///< keys of the record, by which mlx-lm sorts
  bool truncated = false;

  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  /// Targets that are trained, without mlx-lm's padding target.
  std::int64_t trained_tokens() const;
};

/// What a model folder says of the texts its tokenizer is given.
struct TokenizerFacts {
  std::string chat_template;             ///< "" without one
  std::optional<std::int32_t> eos;       ///< tokenizer_config.json's eos_token
  std::vector<std::int32_t> text_begin;  ///< put before a text by tokenizer.json's post-processor
  bool has_thinking = false;             ///< <think> and </think> are tokens
};

/// From tokenizer_config.json, chat_template.jinja and tokenizer.json. kMalformed or kIo; a file
/// that is not there says nothing.
Result<TokenizerFacts> read_tokenizer_facts(const std::filesystem::path& model_folder,
                                            const Tokenizer& tokenizer);

/// How records become tokens.
struct EncodingOptions {
  bool compat_mlx = false;  ///< by the model's chat template, as mlx-lm; else by `form`
  bool mask_prompt = false;
  std::int64_t max_seq_length = 2048;
  OverLong over_long = OverLong::kTruncate;
  FeatureNames features;
  PromptForm form;  ///< used unless compat_mlx
  TokenizerFacts facts;
};

/// The form of a record: messages (with or without tools), prompt and completion, or text.
enum class RecordForm : std::uint8_t { kChat, kCompletions, kText };

/// Turns one JSON line into tokens and the place where the loss begins.
///
/// Ours: the conversation in the prompt form, as it is asked for when posts are written, then the
/// answer, then the form's first stop token, which is the last thing trained. Compat: the rendering
/// of Qwen3's or a ChatML model's (SmolLM2) own template; a template of another shape is refused.
class RecordEncoder {
 public:
  /// `tokenizer` must outlive it. That a chat template cannot be rendered here (kUnsupported) is
  /// told by the first record that needs it: texts need none.
  static Result<RecordEncoder> make(const Tokenizer& tokenizer, EncodingOptions options);

  RecordEncoder(RecordEncoder&&) noexcept;
  RecordEncoder& operator=(RecordEncoder&&) noexcept;
  ~RecordEncoder();

  /// The whole record, not yet shortened to max_seq_length. `form` fixes what is read of a record
  /// that could be read in two ways; by default its keys decide. Errors begin with `where`.
  Result<TrainingExample> encode(std::string_view line, const std::string& where,
                                 std::optional<RecordForm> form = std::nullopt) const;

  /// The form that a record's keys say it has, in mlx-lm's order: completions, chat, text.
  Result<RecordForm> form_of(std::string_view line, const std::string& where) const;

  const EncodingOptions& options() const;
  /// Compat: a sentence to show when the model's chat template is not one that was compared with
  /// transformers; else "".
  std::string template_note() const;

 private:
  struct Impl;
  explicit RecordEncoder(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

/// The examples of one file, with what became of its records.
struct Dataset {
  std::filesystem::path file;
  std::vector<TrainingExample> examples;
  std::int64_t records = 0;
  std::int64_t truncated = 0;  ///< records of which an end was cut off
  std::int64_t dropped = 0;    ///< too long, under OverLong::kDrop
  std::int64_t split = 0;      ///< records that became several examples
  std::int64_t untrained = 0;  ///< nothing left to train; left out, save under compat
  std::int64_t longest = 0;    ///< tokens of the longest record, before any cut
};

/// Reads a JSONL file. Every bad line is one sentence with file:line; the first 20 are told. Empty
/// lines are passed over. kNotFound, kIo, kMalformed, kLimit (a line over 16 MB).
Result<Dataset> read_dataset(const std::filesystem::path& file, const RecordEncoder& encoder);

/// Shortens `example` to at most `max_seq_length` tokens: one example, several (kSplit) or none.
std::vector<TrainingExample> fit_to_length(TrainingExample example, std::int64_t max_seq_length,
                                           OverLong over_long);

}  // namespace bobby
