// bobby post: writes posts.

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/device.h"
#include "app/engine.h"
#include "app/obtain.h"
#include "app/post_setup.h"
#include "app/voice_setup.h"
#include "cli/command.h"
#include "cli/measure.h"
#include "cli/post_options.h"
#include "cli/pull_view.h"
#include "cli/signals.h"
#include "cli/stream_view.h"
#include "posts/post_json.h"
#include "posts/post_writer.h"

namespace bobby::cli {
namespace {

struct CountAndPrompt {
  std::int64_t count = 0;
  std::string prompt;
};

// [COUNT] [PROMPT], either of which may be missing; what stands there wins over its option.
Result<CountAndPrompt> count_and_prompt(const Invocation& invocation) {
  CountAndPrompt wanted{invocation.settings.integer(Opt::kCount),
                        invocation.settings.text(Opt::kPrompt)};
  const auto& arguments = invocation.arguments;
  if (arguments.empty()) return wanted;
  const std::string& first = arguments.front();
  const bool is_number =
      !first.empty() && std::ranges::all_of(first, [](char c) { return c >= '0' && c <= '9'; });
  if (arguments.size() == 2 || is_number) {
    if (auto checked = check_value(option(Opt::kCount), first); !checked)
      return fail(std::move(checked).error().in("COUNT"));
    wanted.count = integer_value(first);
    if (arguments.size() == 2) wanted.prompt = arguments.back();
  } else {
    wanted.prompt = first;
  }
  return wanted;
}

void show_speed(Console& console, const Generator& generator, const LoadedModel& loaded,
                const PostBatch& batch, const Settings& settings) {
  const int threads = static_cast<int>(settings.integer(Opt::kThreads));
  const KvFormat kv = kv_format(settings);
  if (batch.posts.empty()) return;
  // Before the bandwidth is measured, which takes memory of its own.
  const MemoryStats memory = generator.memory_stats();
  console.detail(fmt::format(
      "memory: {:.0f} MB at most; weights {:.0f} MB, KV cache {:.0f} MB in {}{}",
      static_cast<double>(memory.peak_rss_bytes) / 1e6,
      static_cast<double>(memory.weight_bytes) / 1e6, static_cast<double>(memory.kv_bytes) / 1e6,
      kv_format_name(kv),
      memory.kv_saturated > 0 ? fmt::format(", {} numbers beyond its range", memory.kv_saturated)
                              : ""));
  const GenerationTrace trace = generator.last_trace();
  double forward_ms = 0.0;
  std::int64_t tokens = 0;
  for (const auto& step : trace.steps) {
    forward_ms += step.forward_ms + step.sample_ms;
    tokens += step.rows;
  }
  const double steps_a_second =
      forward_ms > 0.0 ? 1000.0 * static_cast<double>(trace.steps.size()) / forward_ms : 0.0;
  // Each step reads the weights once, however many rows it decodes: that is the limit.
  const double gigabytes = steps_a_second * static_cast<double>(loaded.model->decode_bytes()) / 1e9;
  const double of_device = loaded.backend->read_bandwidth().value_or(0.0);
  const double bandwidth = of_device > 0.0 ? of_device : read_bandwidth(threads);
  console.detail(fmt::format("prefill: {:.0f} ms for {} prompt tokens",
                             batch.posts.front().prefill_ms, trace.prompt_tokens));
  console.detail(fmt::format(
      "decode: {:.1f} tok/s; {:.1f} GB/s of weights read, {:.0f}% of the {:.1f} GB/s that this "
      "{} reads",
      forward_ms > 0.0 ? 1000.0 * static_cast<double>(tokens) / forward_ms : 0.0, gigabytes,
      100.0 * gigabytes / bandwidth, bandwidth, of_device > 0.0 ? "device" : "machine"));
}

void show_result(const Invocation& invocation, const PostBatch& batch, std::int64_t wanted) {
  Console& console = invocation.console;
  for (const RejectedTry& rejected : batch.rejected)
    console.detail(fmt::format("post {}, try {} was rejected, {}: \"{}\"", rejected.index + 1,
                               rejected.attempt + 1, rejection_name(rejected.reason),
                               rejected.text));
  for (const Post& post : batch.posts) {
    if (console.json())
      console.print_json(post_json(post));
    else
      console.print(post.text);
  }
  if (!invocation.settings.given(Opt::kSeed) && !console.json())
    console.note(fmt::format("seed {}", batch.seed));
  const auto missing = wanted - static_cast<std::int64_t>(batch.posts.size());
  if (missing > 0 && !batch.posts.empty() && !batch.cancelled)
    console.note(fmt::format("{} of {} posts were not acceptable in any try", missing, wanted));
}

Result<void> write_trace(const Settings& settings, const Generator& generator) {
  if (!settings.given(Opt::kTrace)) return {};
  const std::string& file = settings.text(Opt::kTrace);
  std::ofstream stream(file, std::ios::binary);
  stream << generator.last_trace().to_json() << '\n';
  stream.close();
  if (!stream) return fail({.code = ErrorCode::kIo, .where = file, .problem = "cannot be written"});
  return {};
}

Result<PostRequest> make_request(const Invocation& invocation, const VoiceSetup& voice) {
  BOBBY_TRY(const CountAndPrompt wanted, count_and_prompt(invocation));
  PostRequest request = post_request(invocation.settings, voice);
  request.prompt = wanted.prompt;
  request.count = static_cast<std::uint32_t>(wanted.count);
  request.cancel = &cancelled();
  return request;
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  BOBBY_CHECK(count_and_prompt(invocation));  // before anything is loaded
  const auto watch = pull_view(console, settings);
  BOBBY_TRY(const auto folder, obtain_model(settings.text(Opt::kModel), settings, watch));
  BOBBY_TRY(const auto adapters, load_adapters(settings, watch));

  const Stopwatch load_time;
  Generator generator(
      [&](const ProgressFn& progress) {
        return load_model(settings, folder, TokenizerUse::kRequired, progress);
      },
      {.kv_format = kv_format(settings)});
  BOBBY_TRY(const auto loaded, generator.prewarm());
  BOBBY_TRY(const std::vector<AdapterUse> attached, attach_adapters(generator, adapters));
  console.detail(
      fmt::format("load: {:.0f} ms, {}", load_time.milliseconds(), loaded->backend->description()));
  BOBBY_TRY(const VoiceSetup voice,
            set_up_voice(settings, folder, loaded->model->config().model_type, adapters));
  for (const std::string& warning : voice.warnings) console.note("bobby: " + warning);

  BOBBY_TRY(PostRequest request, make_request(invocation, voice));
  request.adapters = attached;
  StreamView stream([&console](std::string_view text) { console.partial(text); });
  if (settings.flag(Opt::kStream))
    request.on_text = [&stream](std::uint32_t index, int attempt, std::string_view text) {
      stream.add(index, attempt, text);
    };
  PostWriter writer(generator);
  BOBBY_TRY(const PostBatch batch, writer.write(request));
  stream.finish();
  BOBBY_CHECK(write_trace(settings, generator));
  show_result(invocation, batch, request.count);
  if (console.verbose()) show_speed(console, generator, *loaded, batch, settings);
  if (batch.cancelled) return kInterrupted;
  if (!batch.posts.empty()) return kDone;
  console.error({.code = ErrorCode::kLimit,
                 .problem = fmt::format("nothing acceptable was generated in {} tries a post",
                                        request.retries + 1),
                 .hint = "-v says why; --min-chars, --retries and --temperature change it"});
  return kNothingAcceptable;
}

constexpr Argument kArguments[] = {
    {"COUNT", false, "How many posts, in place of --count"},
    {"PROMPT", false, "What to ask for, in place of --prompt"},
};
constexpr auto kOptions = joined(kPostOptions, std::array{Opt::kRaw, Opt::kStream, Opt::kTrace});
constexpr Example kExamples[] = {
    {"bobby post 3 \"write about coffee\"", "three posts, one a line"},
    {"bobby post --model ./Qwen3-8B-MLX-4bit --adapter ./adapters:10", "with a voice, at scale 10"},
    {"bobby post 5 --seed 7 --json", "repeatable, as JSON, one object a line"},
};

}  // namespace

const Command kPost = {
    .group = "",
    .name = "post",
    .summary = "write posts",
    .description =
        "Writes posts and prints them, one a line. What the model wrote is cleaned up: stops, "
        "think "
        "blocks, emojis and hashtags go, and what is too long is cut. A post that is empty, too "
        "short or a repetition is tried again. Exits with 3 when nothing acceptable came out.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
