// bobby adapter export: an adapter for another program.

#include "cli/adapter_conversion.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  BOBBY_CHECK(need_option(invocation.settings, Opt::kTo));
  return convert_adapter(invocation, dialect_of(invocation.settings.text(Opt::kTo)));
}

constexpr Argument kArguments[] = {
    {"ADAPTER", true, "Adapter folder, .gguf file or name, with an optional :SCALE to write"}};
constexpr Opt kOptions[] = {Opt::kTo, Opt::kOut};
constexpr Example kExamples[] = {
    {"bobby adapter export ./adapters --to peft --out ./voice-peft",
     "for transformers and whatever else reads PEFT"},
    {"bobby adapter export ./adapters --to gguf --model ./Qwen3-8B-MLX-4bit --out voice.gguf",
     "for llama.cpp: its --lora; the base says which architecture that is"},
};

}  // namespace

const Command kAdapterExport = {
    .group = "adapter",
    .name = "export",
    .summary = "write an adapter as mlx-lm, PEFT or llama.cpp reads it",
    .description =
        "Writes an adapter in another dialect: a folder of mlx-lm or PEFT, or a GGUF file for "
        "llama.cpp. Numbers stay as they are and the scale is carried over exactly; what the other "
        "dialect cannot hold is refused by name, and what it holds only nearly is said. The voice "
        "(voice.json) travels along.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
