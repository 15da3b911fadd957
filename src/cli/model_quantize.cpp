// bobby model quantize: a dense model folder becomes a quantised one.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/measure.h"
#include "hub/quantize_model.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  QuantizeModelOptions options;
  options.bits = static_cast<int>(settings.integer(Opt::kBits));
  options.group_size = static_cast<int>(settings.integer(Opt::kGroupSize));
  options.rounding = settings.text(Opt::kRounding) == "cpu" ? Rounding::kCpu : Rounding::kGpu;
  const int threads = static_cast<int>(settings.integer(Opt::kThreads));
  options.threads = threads > 0 ? threads : ThreadPool::available_processors();
  const std::string& folder = invocation.arguments[1];
  const Stopwatch time;
  BOBBY_TRY(const QuantizedModel made,
            quantize_model(invocation.arguments[0], folder, options, console.progress()));
  console.end_progress();
  if (console.json())
    console.print_json({{"folder", folder},
                        {"quantized", made.quantized},
                        {"left_dense", made.left_dense},
                        {"bytes_before", made.bytes_before},
                        {"bytes_after", made.bytes_after}});
  else
    console.note(fmt::format(
        "{}: {} modules quantised, {} left dense, {:.0f} MB from {:.0f} MB, "
        "in {:.1f} s",
        folder, made.quantized, made.left_dense.size(), static_cast<double>(made.bytes_after) / 1e6,
        static_cast<double>(made.bytes_before) / 1e6, time.milliseconds() / 1e3));
  for (const std::string& module : made.left_dense)
    console.detail(fmt::format("left dense: {}", module));
  return kDone;
}

constexpr Argument kArguments[] = {{"SRC", true, "A dense model folder (bf16, f16 or f32)"},
                                   {"DST", true, "The model folder to make; must not exist"}};
constexpr Opt kOptions[] = {Opt::kBits, Opt::kGroupSize, Opt::kRounding};
constexpr Example kExamples[] = {
    {"bobby model quantize ./Qwen3-8B ./Qwen3-8B-4bit --bits 4 --group-size 64",
     "as the published MLX models are made"},
};

}  // namespace

const Command kModelQuantize = {
    .group = "model",
    .name = "quantize",
    .summary = "quantise a dense model folder",
    .description =
        "Quantises every linear layer and the embedding of a dense model folder to MLX's affine "
        "format, bit for bit as MLX does on its GPUs or, with --rounding cpu, on its CPU.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
