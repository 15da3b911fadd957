// bobby model logits: what a model makes of token ids, as a file.

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/device.h"
#include "app/engine.h"
#include "app/obtain.h"
#include "base/safetensors_error.h"
#include "cli/command.h"
#include "cli/decode_run.h"
#include "cli/pull_view.h"
#include "cli/signals.h"
#include "safetensors/writer.h"

namespace bobby::cli {
namespace {

constexpr std::int64_t kChunk = 32;  // rows of logits in memory at a time

Result<void> write_logits(Model& model, std::span<const AdapterUse> adapters, KvFormat kv,
                          const std::vector<std::int32_t>& tokens, safetensors::Writer& writer) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  BOBBY_TRY(DecodeRun run,
            DecodeRun::make(model, {.max_tokens = count, .kv_format = kv}, {adapters}));
  std::vector<float> host;
  for (std::int64_t begin = 0; begin < count; begin += kChunk) {
    if (cancelled()) return fail({.code = ErrorCode::kCancelled, .problem = "interrupted"});
    const auto end = std::min(begin + kChunk, count);
    BOBBY_TRY(const Activation logits,
              run.advance({{tokens.begin() + begin, tokens.begin() + end}}, LogitsRows::kAll));
    host.resize(static_cast<std::size_t>(logits.rows * logits.cols));
    BOBBY_CHECK(model.backend().copy_out(logits, host));
    if (auto written = writer.append("logits", std::as_bytes(std::span(host))); !written)
      return fail(to_error(std::move(written).error()));
  }
  return {};
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  for (const Opt id : {Opt::kTokens, Opt::kOut})
    if (!settings.given(id))
      return fail({.code = ErrorCode::kUsage,
                   .where = fmt::format("--{}", option(id).name),
                   .problem = "is missing",
                   .hint = "`bobby model logits --help` has an example"});
  std::vector<std::int32_t> tokens;
  for (const std::int64_t id : settings.integers(Opt::kTokens))
    tokens.push_back(static_cast<std::int32_t>(id));
  const auto watch = pull_view(invocation.console, settings);
  BOBBY_TRY(const auto folder, obtain_model(settings.text(Opt::kModel), settings, watch));
  BOBBY_TRY(const auto adapters, load_adapters(settings, watch));
  BOBBY_TRY(const auto loaded, load_model(settings, folder, TokenizerUse::kNone));
  Model& model = *loaded->model;
  BOBBY_TRY(const std::vector<AdapterUse> attached, attach_adapters(model, adapters));
  if (const std::int64_t context = model.config().max_position_embeddings;
      static_cast<std::int64_t>(tokens.size()) > context)
    return fail({.code = ErrorCode::kLimit,
                 .where = "--tokens",
                 .problem = "is longer than the model's context",
                 .expected = fmt::format("at most {}", context),
                 .found = fmt::format("{}", tokens.size())});

  const std::string& out = settings.text(Opt::kOut);
  const auto vocab_size = static_cast<std::uint64_t>(model.config().vocab_size);
  auto writer = safetensors::Writer::create(
      out, {{"logits", safetensors::DType::kF32, {tokens.size(), vocab_size}}});
  if (!writer) return fail(to_error(std::move(writer).error()));
  BOBBY_CHECK(write_logits(model, attached, kv_format(settings), tokens, *writer));
  if (auto finished = writer->finish(); !finished)
    return fail(to_error(std::move(finished).error()));
  if (invocation.console.json())
    invocation.console.print_json({{"file", out}, {"shape", {tokens.size(), vocab_size}}});
  else
    invocation.console.note(
        fmt::format("{}: logits [{}, {}] float32", out, tokens.size(), vocab_size));
  return kDone;
}

constexpr Opt kOptions[] = {Opt::kTokens, Opt::kOut};
constexpr Example kExamples[] = {
    {"bobby model logits --model ./tiny --tokens 1,2,3 --out logits.safetensors",
     "three rows of logits, to compare with another program's"},
};

}  // namespace

const Command kModelLogits = {
    .group = "model",
    .name = "logits",
    .summary = "write a model's logits for token ids to a file",
    .description =
        "Runs a model on token ids and writes the tensor `logits` [tokens, vocabulary] in float32 "
        "to a safetensors file, with --adapter and --device as anywhere.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
