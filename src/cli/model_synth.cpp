// bobby model synth: a random model of a given shape, for measuring.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/measure.h"
#include "hub/synth_model.h"

namespace bobby::cli {
namespace {

Result<void> need(const Settings& settings, Opt id) {
  if (settings.given(id)) return {};
  return fail({.code = ErrorCode::kUsage,
               .where = fmt::format("--{}", option(id).name),
               .problem = "is missing",
               .hint = "`bobby model synth --help` has examples"});
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  BOBBY_CHECK(need(settings, Opt::kArch));
  BOBBY_CHECK(need(settings, Opt::kOut));
  SynthOptions options;
  options.arch = settings.text(Opt::kArch);
  options.folder = settings.text(Opt::kOut);
  options.seed = static_cast<std::uint64_t>(settings.integer(Opt::kSynthSeed));
  options.bits = settings.flag(Opt::kDense) ? 0 : static_cast<int>(settings.integer(Opt::kBits));
  options.group_size = static_cast<int>(settings.integer(Opt::kGroupSize));
  const int threads = static_cast<int>(settings.integer(Opt::kThreads));
  options.threads = threads > 0 ? threads : ThreadPool::available_processors();
  const Stopwatch time;
  BOBBY_TRY(const SynthModel made, synth_model(options, console.progress()));
  console.end_progress();
  if (settings.given(Opt::kSynthAdapter)) {
    SynthAdapterOptions adapter;
    adapter.arch = options.folder.string();
    adapter.folder = settings.text(Opt::kSynthAdapter);
    adapter.seed = options.seed;
    BOBBY_CHECK(synth_adapter(adapter));
  }
  if (console.json())
    console.print_json(
        {{"folder", options.folder.string()}, {"tensors", made.tensors}, {"bytes", made.bytes}});
  else
    console.note(fmt::format("{}: {} tensors, {:.0f} MB, in {:.1f} s", options.folder.string(),
                             made.tensors, static_cast<double>(made.bytes) / 1e6,
                             time.milliseconds() / 1e3));
  return kDone;
}

constexpr Opt kOptions[] = {Opt::kArch,      Opt::kOut,   Opt::kSynthSeed,   Opt::kBits,
                            Opt::kGroupSize, Opt::kDense, Opt::kSynthAdapter};
constexpr Example kExamples[] = {
    {"bobby model synth --arch qwen3-8b --out ./qwen3-8b-random --seed 1",
     "4.6 GB that behave like Qwen3-8B in 4 bits for `bobby bench`"},
    {"bobby model synth --arch qwen3-8b --dense --out ./qwen3-8b-bf16", "16 GB to quantise"},
    {"bobby model synth --arch config.json --out ./tiny --adapter-out ./tiny-adapter",
     "a shape of your own, with an adapter for it"},
};

}  // namespace

const Command kModelSynth = {
    .group = "model",
    .name = "synth",
    .summary = "make a random model of a given shape, for measuring",
    .description =
        "Writes an MLX-format folder of random weights, without a tokenizer: sizes and formats are "
        "those of a real model, what it would say is noise. --bits, --group-size and --dense are "
        "of a "
        "named shape; a config.json says its own.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
