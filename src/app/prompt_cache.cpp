#include "app/prompt_cache.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "app/device.h"
#include "app/version.h"
#include "base/safetensors_error.h"
#include "base/sha256.h"
#include "safetensors/reader.h"
#include "safetensors/writer.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFormat = "bobby prompt cache 1";
constexpr std::string_view kFormatName = "bobby prompt cache ";
constexpr std::size_t kDigestDigits = 64;

void hash_text(Sha256& hash, std::string_view text) {
  hash.update(std::as_bytes(std::span(text)));
  hash.update(std::as_bytes(std::span("\n", 1)));
}

/// Of what a block is: its tokens, its keys and values. Damage is found before it can be used.
std::string block_digest(std::span<const std::int32_t> tokens, std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(std::as_bytes(tokens));
  hash.update(bytes);
  return hash.hex_digest();
}

Result<void> hash_weights(Sha256& hash, const fs::path& path) {
  std::error_code failed;
  const auto size = fs::file_size(path, failed);
  const auto changed = failed ? fs::file_time_type() : fs::last_write_time(path, failed);
  if (failed)
    return fail({.code = ErrorCode::kIo, .where = path.string(), .problem = failed.message()});
  const auto file = safetensors::File::open(path);
  if (!file) return fail(to_error(file.error()));
  hash_text(hash, fmt::format("{} {} {}", path.filename().string(), size,
                              changed.time_since_epoch().count()));
  for (const auto& tensor : file->tensors())
    hash_text(hash, fmt::format("{} {} {}", tensor.name,
                                safetensors::describe(tensor.dtype, tensor.shape), tensor.begin));
  return {};
}

/// Fills a Writer from what a generator tells.
class FileSink {
 public:
  FileSink(const fs::path& file, const PromptCacheStamp& stamp) : file_(file), stamp_(stamp) {}

  Result<void> begin(const PrefixList& list) {
    using safetensors::DType;
    list_ = &list;
    const std::uint64_t count = list.blocks.size();
    const std::uint64_t tokens = count > 0 ? list.blocks.front().tokens.size() : 0;
    amount_ = {.blocks = static_cast<std::int64_t>(count),
               .tokens = static_cast<std::int64_t>(count * tokens),
               .bytes = count * list.block_bytes};
    auto writer = safetensors::Writer::create(
        file_,
        {{.name = "blocks", .dtype = DType::kU8, .shape = {count, list.block_bytes}},
         {.name = "tokens", .dtype = DType::kI32, .shape = {count, tokens}},
         {.name = "parents", .dtype = DType::kI32, .shape = {count}},
         {.name = "voices", .dtype = DType::kI32, .shape = {count}},
         {.name = "sha256", .dtype = DType::kU8, .shape = {count, kDigestDigits}}},
        {{"format", kFormat},
         {"model", stamp_.model},
         {"computed", stamp_.computed},
         {"voices", json(list.voices).dump()}},
        {.owner_only = true});
    if (!writer) return fail(to_error(writer.error()));
    writer_ = *std::move(writer);
    return {};
  }

  Result<void> block(std::span<const std::byte> bytes) {
    const PrefixBlock& block = list_->blocks[written_++];
    BOBBY_CHECK(append("blocks", bytes));
    BOBBY_CHECK(append("tokens", std::as_bytes(std::span(block.tokens))));
    BOBBY_CHECK(append("parents", std::as_bytes(std::span(&block.parent, 1))));
    BOBBY_CHECK(append("voices", std::as_bytes(std::span(&block.voice, 1))));
    const std::string digest = block_digest(block.tokens, bytes);
    return append("sha256", std::as_bytes(std::span(digest)));
  }

  Result<PromptCacheAmount> finish() {
    if (auto finished = writer_->finish(); !finished) return fail(to_error(finished.error()));
    return amount_;
  }

 private:
  Result<void> append(std::string_view tensor, std::span<const std::byte> bytes) {
    if (auto written = writer_->append(tensor, bytes); !written)
      return fail(to_error(written.error()));
    return {};
  }

  const fs::path& file_;
  const PromptCacheStamp& stamp_;
  const PrefixList* list_ = nullptr;
  std::optional<safetensors::Writer> writer_;
  PromptCacheAmount amount_;
  std::size_t written_ = 0;
};

/// A prompt cache file, mapped and checked against itself; blocks are checked as they are read.
class CacheFile {
 public:
  static Result<CacheFile> open(const fs::path& path) {
    auto file = safetensors::File::open(path);
    if (!file) return fail(to_error(file.error()));
    CacheFile cache(*std::move(file));
    if (cache.text("format") != kFormat)
      return fail(cache.bad("is no prompt cache", kFormat, std::string(cache.text("format"))));
    BOBBY_CHECK(cache.read());
    return cache;
  }

  std::string_view text(const std::string& key) const {
    const auto found = file_.metadata().find(key);
    return found == file_.metadata().end() ? std::string_view() : std::string_view(found->second);
  }
  std::int64_t block_tokens() const { return block_tokens_; }
  std::size_t block_bytes() const { return block_bytes_; }

  /// The list; its sense is the generator's to judge.
  Result<PrefixList> list() const {
    PrefixList list;
    const json voices = json::parse(text("voices"), nullptr, false);
    if (!voices.is_array()) return fail(bad("metadata 'voices' is not a list of texts"));
    for (const json& voice : voices) {
      if (!voice.is_string()) return fail(bad("metadata 'voices' is not a list of texts"));
      list.voices.push_back(voice.get<std::string>());
    }
    list.block_bytes = block_bytes_;
    list.blocks.resize(static_cast<std::size_t>(count_));
    for (std::size_t i = 0; i < list.blocks.size(); ++i)
      list.blocks[i] = {.parent = parents_[i], .voice = voices_[i], .tokens = tokens(i)};
    return list;
  }

  Result<std::span<const std::byte>> block(std::size_t index) const {
    const auto bytes = blocks_.subspan(index * block_bytes_, block_bytes_);
    const auto digest = digests_.subspan(index * kDigestDigits, kDigestDigits);
    const std::string found = block_digest(tokens(index), bytes);
    if (std::memcmp(found.data(), digest.data(), kDigestDigits) != 0)
      return fail(bad(fmt::format("block {} is damaged: its SHA-256 is another", index)));
    return bytes;
  }

 private:
  explicit CacheFile(safetensors::File file) : file_(std::move(file)) {}

  Error bad(std::string problem, std::string expected = {}, std::string found = {}) const {
    return {.code = ErrorCode::kMalformed,
            .where = file_.name(),
            .problem = std::move(problem),
            .expected = std::move(expected),
            .found = std::move(found)};
  }

  /// A tensor of [count] or [count, columns] of `dtype`.
  Result<const safetensors::Tensor*> tensor(const std::string& name, safetensors::DType dtype,
                                            std::size_t dimensions) {
    const safetensors::Tensor* found = file_.find(name);
    if (found == nullptr) return fail(bad("has no tensor '" + name + "'"));
    if (found->dtype != dtype || found->shape.size() != dimensions ||
        (count_ >= 0 && found->shape[0] != static_cast<std::uint64_t>(count_)))
      return fail(bad("tensor '" + name + "' is of another kind or count", {},
                      safetensors::describe(found->dtype, found->shape)));
    return found;
  }

  Result<void> read() {
    using safetensors::DType;
    BOBBY_TRY(const auto* blocks, tensor("blocks", DType::kU8, 2));
    count_ = static_cast<std::int64_t>(blocks->shape[0]);
    block_bytes_ = blocks->shape[1];
    blocks_ = blocks->data;
    BOBBY_TRY(const auto* tokens, tensor("tokens", DType::kI32, 2));
    block_tokens_ = static_cast<std::int64_t>(tokens->shape[1]);
    tokens_ = tokens->data;
    BOBBY_TRY(const auto* digests, tensor("sha256", DType::kU8, 2));
    if (digests->shape[1] != kDigestDigits) return fail(bad("tensor 'sha256' has another width"));
    digests_ = digests->data;
    BOBBY_TRY(const auto* parents, tensor("parents", DType::kI32, 1));
    BOBBY_TRY(const auto* voices, tensor("voices", DType::kI32, 1));
    parents_ = numbers(parents->data);
    voices_ = numbers(voices->data);
    return {};
  }

  static std::vector<std::int32_t> numbers(std::span<const std::byte> bytes) {
    std::vector<std::int32_t> read(bytes.size() / sizeof(std::int32_t));
    if (!read.empty()) std::memcpy(read.data(), bytes.data(), bytes.size());
    return read;
  }
  std::vector<std::int32_t> tokens(std::size_t index) const {
    const std::size_t bytes = static_cast<std::size_t>(block_tokens_) * sizeof(std::int32_t);
    return numbers(tokens_.subspan(index * bytes, bytes));
  }

  safetensors::File file_;
  std::int64_t count_ = -1;
  std::int64_t block_tokens_ = 0;
  std::size_t block_bytes_ = 0;
  std::span<const std::byte> blocks_, tokens_, digests_;
  std::vector<std::int32_t> parents_, voices_;
};

Error another(const fs::path& file, const char* what, std::string_view expected,
              std::string_view found) {
  return {.code = ErrorCode::kMismatch,
          .where = file.string(),
          .problem = fmt::format("was written {}", what),
          .expected = std::string(expected),
          .found = std::string(found)};
}

}  // namespace

Result<void> check_prompt_cache_place(const fs::path& file) {
  std::error_code status;
  if (fs::exists(file, status)) {
    const auto there = safetensors::File::open(file);
    if (there && there->metadata().contains("format") &&
        there->metadata().at("format").starts_with(kFormatName))
      return {};
    return fail({.code = ErrorCode::kUsage,
                 .where = "prompt-cache",
                 .problem = "'" + file.string() + "' is no prompt cache, and would be written over",
                 .hint = "name another file, or delete this one"});
  }
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  if (fs::is_directory(folder, status)) return {};
  return fail({.code = ErrorCode::kUsage,
               .where = "prompt-cache",
               .problem = "the folder '" + folder.string() + "' is not there"});
}

Result<std::string> model_stamp(const fs::path& folder) {
  Sha256 hash;
  BOBBY_TRY(const std::string config, sha256_file(folder / "config.json"));
  hash_text(hash, config);
  std::vector<fs::path> files;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed))
    if (entry->path().extension() == ".safetensors") files.push_back(entry->path());
  if (failed)
    return fail({.code = ErrorCode::kIo, .where = folder.string(), .problem = failed.message()});
  std::ranges::sort(files);
  for (const fs::path& file : files) BOBBY_CHECK(hash_weights(hash, file));
  return hash.hex_digest();
}

Result<PromptCacheStamp> prompt_cache_stamp(const fs::path& folder, const LoadedModel& loaded,
                                            const GeneratorOptions& options) {
  PromptCacheStamp stamp;
  BOBBY_TRY(stamp.model, model_stamp(folder));
  stamp.computed =
      fmt::format("bobby {}; {}; {} cells; prompts by {}", kVersion, loaded.backend->description(),
                  kv_format_name(options.kv_format), options.prefill_chunk);
  return stamp;
}

Result<PromptCacheAmount> save_prompt_cache(const fs::path& file, const PromptCacheStamp& stamp,
                                            Generator& generator) {
  FileSink sink(file, stamp);
  BOBBY_CHECK(generator.save_prefixes(
      {.begin = [&](const PrefixList& list) { return sink.begin(list); },
       .block = [&](std::span<const std::byte> bytes) { return sink.block(bytes); }}));
  return sink.finish();
}

Result<PromptCacheAmount> load_prompt_cache(const fs::path& file, const PromptCacheStamp& stamp,
                                            Generator& generator) {
  BOBBY_TRY(const CacheFile cache, CacheFile::open(file));
  if (cache.text("model") != stamp.model)
    return fail(another(file, "for another model", stamp.model, cache.text("model")));
  if (cache.text("computed") != stamp.computed)
    return fail(another(file, "under other settings", stamp.computed, cache.text("computed")));
  BOBBY_TRY(PrefixList list, cache.list());
  auto taken = generator.load_prefixes(
      {.list = std::move(list), .block = [&](std::size_t i) { return cache.block(i); }});
  if (!taken) return fail(std::move(taken).error().in(file.string()));
  return PromptCacheAmount{.blocks = *taken,
                           .tokens = *taken * cache.block_tokens(),
                           .bytes = static_cast<std::uint64_t>(*taken) * cache.block_bytes()};
}

}  // namespace bobby
