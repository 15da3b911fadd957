#include "tokenizer/tokenizer.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "tokenizer/normalizer.h"
#include "tokenizer/tokenizer_impl.h"
#include "tokenizer/utf8.h"

namespace bobby {
namespace {

/// Encodes the words that the pre-tokenizer cuts.
class WordSink final : public detail::PieceSink {
 public:
  WordSink(const detail::Bpe& bpe, std::vector<std::int32_t>& ids) : encoder_(bpe), ids_(ids) {}
  void piece(std::string_view word) override { encoder_.append(word, ids_); }

 private:
  detail::Bpe::Encoder encoder_;
  std::vector<std::int32_t>& ids_;
};

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::from_file(const std::filesystem::path& tokenizer_json) {
  const std::string name = tokenizer_json.string();
  std::error_code error;
  const auto status = std::filesystem::status(tokenizer_json, error);
  if (!std::filesystem::exists(status))
    return fail({.code = ErrorCode::kNotFound, .where = name, .problem = "no such file"});
  if (!std::filesystem::is_regular_file(status))
    return fail({.code = ErrorCode::kIo, .where = name, .problem = "is not a regular file"});
  simdjson::padded_string json;
  if (const auto failure = simdjson::padded_string::load(name).get(json))
    return fail({.code = ErrorCode::kIo,
                 .where = name,
                 .problem = fmt::format("cannot be read: {}", simdjson::error_message(failure))});
  BOBBY_TRY(auto impl, Impl::read(json, true, name));
  return Tokenizer(std::move(impl));
}

Result<Tokenizer> Tokenizer::from_json(std::string_view json, std::string_view name) {
  BOBBY_TRY(auto impl, Impl::read(json, false, name));
  return Tokenizer(std::move(impl));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  std::string repaired;
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    detail::append_valid_utf8(text, true, repaired);
    text = repaired;
  }
  std::vector<std::int32_t> ids;
  WordSink words(impl_->bpe, ids);
  std::string normalized;
  for (const auto& [raw, raw_id] : impl_->raw_tokens.split(text)) {
    if (raw_id >= 0) {
      ids.push_back(raw_id);
      continue;
    }
    const std::string_view piece = impl_->normalizes ? detail::normalize_nfc(raw, normalized) : raw;
    for (const auto& [part, id] : impl_->normalized_tokens.split(piece)) {
      if (id >= 0)
        ids.push_back(id);
      else
        impl_->pre_tokenizer.split(part, words);
    }
  }
  return ids;
}

Result<std::string> Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const std::int32_t id : ids) {
    const auto token = token_bytes(id);
    if (!token)
      return fail({.code = ErrorCode::kLimit,
                   .where = "decode",
                   .problem = "the vocabulary has no such token id",
                   .expected = fmt::format("less than {}", vocab_size()),
                   .found = std::to_string(id)});
    if (!skip_special || !is_special(id)) bytes.append(*token);
  }
  if (simdjson::validate_utf8(bytes)) return bytes;
  std::string text;
  detail::append_valid_utf8(bytes, true, text);
  return text;
}

std::optional<std::string_view> Tokenizer::token_bytes(std::int32_t id) const {
  if (const auto added = impl_->added.find(id); added != impl_->added.end())
    return added->second.bytes;
  if (!impl_->bpe.vocabulary().contains(id)) return std::nullopt;
  return impl_->bpe.vocabulary().bytes(id);
}

std::optional<std::int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (!simdjson::validate_utf8(token.data(), token.size())) return std::nullopt;
  const auto added = impl_->added_ids.find(std::string(token));
  return added != impl_->added_ids.end() ? added->second : impl_->bpe.vocabulary().find(token);
}

bool Tokenizer::is_special(std::int32_t id) const {
  const auto added = impl_->added.find(id);
  return added != impl_->added.end() && added->second.is_special;
}

std::int64_t Tokenizer::vocab_size() const {
  return impl_->id_end;
}

}  // namespace bobby
