// bobby model fuse: an adapter worked into the weights of its base.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/engine.h"
#include "app/obtain.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "fidelity/text_report.h"
#include "hub/fuse_model.h"

namespace bobby::cli {
namespace {

using fidelity::percent;

bool is_given(const Settings& settings, Opt id) {
  return settings.setting(id).origin != Setting().origin;
}

FuseModelOptions options_of(const Settings& settings, float factor) {
  FuseModelOptions options;
  if (settings.text(Opt::kDtype) == "f16") options.dtype = DType::kF16;
  if (settings.text(Opt::kDtype) == "f32") options.dtype = DType::kF32;
  options.rounding = settings.flag(Opt::kAsMlx) ? FuseRounding::kMlx : FuseRounding::kOnce;
  options.requantize = settings.flag(Opt::kRequantize);
  if (is_given(settings, Opt::kBits) || is_given(settings, Opt::kGroupSize))
    options.format = {.group_size = static_cast<int>(settings.integer(Opt::kGroupSize)),
                      .bits = static_cast<int>(settings.integer(Opt::kBits))};
  options.quantize_rounding =
      settings.text(Opt::kRounding) == "cpu" ? Rounding::kCpu : Rounding::kGpu;
  options.factor = factor;
  const int threads = static_cast<int>(settings.integer(Opt::kThreads));
  options.threads = threads > 0 ? threads : ThreadPool::available_processors();
  return options;
}

Result<ChosenAdapter> chosen_adapter(const Settings& settings, const hub::PullWatch& watch) {
  BOBBY_TRY(std::vector<ChosenAdapter> adapters, load_adapters(settings, watch));
  if (adapters.size() == 1) return std::move(adapters.front());
  return fail({.code = ErrorCode::kUsage,
               .where = "--adapter",
               .problem = adapters.empty() ? "is missing" : "is given more than once",
               .expected = "one adapter to fuse"});
}

Result<void> check_usage(const Settings& settings) {
  if (!settings.given(Opt::kOut))
    return fail({.code = ErrorCode::kUsage,
                 .where = "--out",
                 .problem = "is missing",
                 .hint = "`bobby model fuse --help` has an example"});
  for (const Opt id : {Opt::kBits, Opt::kGroupSize})
    if (is_given(settings, id) && !settings.flag(Opt::kRequantize))
      return fail({.code = ErrorCode::kUsage,
                   .where = fmt::format("--{}", option(id).name),
                   .problem = "needs --requantize",
                   .hint = "without it the fused weights are not quantised"});
  return {};
}

void print_json(const FusedModel& made, const std::string& folder, const DeltaKept& total,
                Console& console) {
  nlohmann::ordered_json json = {{"folder", folder},
                                 {"bytes", made.bytes},
                                 {"kept", total.kept()},
                                 {"noise", total.lost()},
                                 {"voice_lost", voice_lost(total)}};
  for (const FusedModule& module : made.modules)
    json["modules"].push_back({{"path", module.path},
                               {"relative_size", module.kept.relative_size()},
                               {"kept", module.kept.kept()},
                               {"noise", module.kept.lost()},
                               {"voice_lost", voice_lost(module.kept)}});
  console.print_json(json);
}

void print_text(const FusedModel& made, Console& console) {
  console.print(
      fmt::format("{:<40}{:>12}{:>12}{:>12}", "module", "change", "left", "lost to noise"));
  for (const FusedModule& module : made.modules)
    console.print(fmt::format("{:<40}{:>12}{:>12}{:>12}{}", module.path,
                              percent(module.kept.relative_size()), percent(module.kept.kept()),
                              percent(module.kept.lost()),
                              voice_lost(module.kept) ? "  voice lost" : ""));
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  BOBBY_CHECK(check_usage(settings));
  BOBBY_TRY(const ChosenAdapter adapter, chosen_adapter(settings, pull_view(console, settings)));
  BOBBY_TRY(const auto source,
            obtain_model(settings.text(Opt::kModel), settings, pull_view(console, settings)));
  const std::string& folder = settings.text(Opt::kOut);
  BOBBY_TRY(const FusedModel made,
            fuse_model(source, *adapter.adapter, folder, options_of(settings, adapter.factor),
                       console.progress()));
  console.end_progress();
  DeltaKept total;
  for (const FusedModule& module : made.modules) total += module.kept;
  if (console.json()) {
    print_json(made, folder, total, console);
    return kDone;
  }
  print_text(made, console);
  console.note(fmt::format(
      "{}: {} modules fused, {:.0f} MB; {} of the change is left, beside "
      "rounding noise of {} of its size{}",
      folder, made.modules.size(), static_cast<double>(made.bytes) / 1e6, percent(total.kept()),
      percent(total.lost()), voice_lost(total) ? ": voice lost" : ""));
  return kDone;
}

constexpr Opt kOptions[] = {Opt::kOut,  Opt::kDtype,     Opt::kAsMlx,   Opt::kRequantize,
                            Opt::kBits, Opt::kGroupSize, Opt::kRounding};
constexpr Example kExamples[] = {
    {"bobby model fuse --model ./Qwen3-8B-MLX-4bit --adapter ./adapters --out ./mine",
     "16 GB in bf16 that speak with the voice by themselves"},
    {"bobby model fuse --adapter ./adapters --out ./mine-4bit --requantize",
     "as small as the base, and what that costs the voice"},
};

}  // namespace

const Command kModelFuse = {
    .group = "model",
    .name = "fuse",
    .summary = "work an adapter into the weights of its base",
    .description =
        "Writes a model folder whose weights hold the adapter's change: bf16 by default, so that "
        "the change survives. --requantize quantises the adapted weights again, in the base's "
        "format, which adds rounding larger than most adapters' change. Shows for each module how "
        "large the change is, how much of it is left and how much noise stands beside it, and says "
        "\"voice lost\" where too little is left. At run time an adapter loses nothing: see `bobby "
        "adapter fidelity`.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
