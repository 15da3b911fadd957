#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby {

/// Byte-level BPE from a Hugging Face `tokenizer.json`, identical to the `tokenizers` library for
/// what it implements; anything else in the file is refused by name. Immutable and thread-safe.
class Tokenizer {
 public:
  /// kNotFound, kIo; kMalformed naming the key; kUnsupported naming the component.
  static Result<Tokenizer> from_file(const std::filesystem::path& tokenizer_json);
  static Result<Tokenizer> from_json(std::string_view json, std::string_view name);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Token ids of `text` (UTF-8; each invalid byte sequence is read as U+FFFD). Added tokens found
  /// in the text become their ids. No bos/eos is added: prompts are spelled out by their form.
  std::vector<std::int32_t> encode(std::string_view text) const;

  /// The text of `ids`. kLimit names an id that the vocabulary does not have.
  Result<std::string> decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  /// The bytes that token `id` stands for (not necessarily whole code points), or nullopt.
  std::optional<std::string_view> token_bytes(std::int32_t id) const;
  std::optional<std::int32_t> token_to_id(std::string_view token) const;
  bool is_special(std::int32_t id) const;
  /// One more than the largest id.
  std::int64_t vocab_size() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

/// Turns ids into text as they come, never emitting half a code point: bytes are held back until
/// they form one. `tokenizer` must outlive it.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true);
  /// The text that `id` completes; may be empty. Unknown ids add nothing.
  std::string push(std::int32_t id);
  /// What was held back, invalid bytes as U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace bobby
