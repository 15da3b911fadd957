// bobby model import-gguf: a GGUF file becomes an MLX-format folder, without loss.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/measure.h"
#include "hub/gguf_import.h"

namespace bobby::cli {
namespace {

Result<int> run(const Invocation& invocation) {
  Console& console = invocation.console;
  const std::string& folder = invocation.arguments[1];
  const Stopwatch time;
  BOBBY_TRY(const GgufImport made,
            import_gguf(invocation.arguments[0], folder, console.progress()));
  console.end_progress();
  if (console.json())
    console.print_json({{"folder", folder},
                        {"architecture", made.architecture},
                        {"quantization", made.quantization},
                        {"tensors", made.tensors},
                        {"bytes", made.bytes}});
  else
    console.note(fmt::format("{}: {}, {}, {} tensors, {:.0f} MB, in {:.1f} s", folder,
                             made.architecture, made.quantization, made.tensors,
                             static_cast<double>(made.bytes) / 1e6, time.milliseconds() / 1e3));
  return kDone;
}

constexpr Argument kArguments[] = {{"FILE.gguf", true, "The file to read"},
                                   {"FOLDER", true, "The model folder to make; must not exist"}};
constexpr Example kExamples[] = {
    {"bobby model import-gguf SmolLM2-135M-Instruct.Q4_1.gguf ./smollm2",
     "weights, vocabulary and chat template in MLX's layout"},
};

}  // namespace

const Command kModelImportGguf = {
    .group = "model",
    .name = "import-gguf",
    .summary = "turn a GGUF file into an MLX-format folder, without loss",
    .description =
        "Turns a GGUF file of a llama or qwen3 model into an MLX-format folder. Q4_0, Q4_1, Q8_0, "
        "F16, BF16 and F32 keep every weight exactly; other types are refused by name.",
    .arguments = kArguments,
    .options = {},
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
