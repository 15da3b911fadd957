// bobby adapter import: somebody's adapter as a folder of mlx-lm.

#include "cli/adapter_conversion.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  return convert_adapter(invocation, Adapter::Source::kMlx);
}

constexpr Argument kArguments[] = {{"PATH", true, "A folder of PEFT, or a GGUF file of llama.cpp"}};
constexpr Opt kOptions[] = {Opt::kFrom, Opt::kOut};
constexpr Example kExamples[] = {
    {"bobby adapter import ./their-peft-adapter --out ./adapters",
     "a folder that mlx-lm reads too"},
    {"bobby adapter import voice.gguf --model ./SmolLM2-135M --out ./adapters",
     "a llama GGUF of another program: the base says how long a head is"},
};

}  // namespace

const Command kAdapterImport = {
    .group = "adapter",
    .name = "import",
    .summary = "turn an adapter of PEFT or llama.cpp into a folder of mlx-lm",
    .description =
        "Turns an adapter into a folder as mlx-lm writes it, the form that bobby train makes. "
        "--adapter reads all three as they are: import one to go on training it, or for mlx-lm.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
