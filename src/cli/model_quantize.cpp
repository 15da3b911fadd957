// bobby model quantize: a dense model folder becomes a quantised one.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

#include "app/device.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/measure.h"
#include "cli/rate_view.h"
#include "hub/quantize_model.h"
#include "hub/resumable_folder.h"

namespace bobby::cli {
namespace {

using nlohmann::ordered_json;

bool is_given(const Settings& settings, Opt id) {
  return settings.setting(id).origin != Setting().origin;
}

/// --recipe, which may be a file of rules, and then --override.
Result<void> read_rules(const Settings& settings, QuantizeModelOptions& options) {
  if (settings.given(Opt::kRecipe)) {
    const std::string& recipe = settings.text(Opt::kRecipe);
    const auto names = quantize_recipes();
    const bool is_file = recipe.ends_with(".json") || recipe.find('/') != std::string::npos;
    if (std::ranges::find(names, recipe) != names.end() || !is_file) {
      BOBBY_CHECK(recipe_bits(recipe, "", 1));
      options.recipe = recipe;
    } else {
      BOBBY_TRY(QuantizeRules rules, read_quantize_rules(recipe, options.group_size));
      if (!is_given(settings, Opt::kBits)) options.bits = rules.bits.value_or(options.bits);
      if (!is_given(settings, Opt::kGroupSize))
        options.group_size = rules.group_size.value_or(options.group_size);
      options.rules = std::move(rules.rules);
    }
  }
  for (const std::string& text : settings.texts(Opt::kOverride)) {
    BOBBY_TRY(QuantizeRule rule, parse_quantize_rule(text, options.group_size));
    options.rules.push_back(std::move(rule));
  }
  return {};
}

Result<QuantizeModelOptions> read_options(const Settings& settings) {
  QuantizeModelOptions options;
  options.bits = static_cast<int>(settings.integer(Opt::kBits));
  options.group_size = static_cast<int>(settings.integer(Opt::kGroupSize));
  options.rounding = settings.text(Opt::kRounding) == "cpu" ? Rounding::kCpu : Rounding::kGpu;
  BOBBY_CHECK(read_rules(settings, options));
  const int threads = static_cast<int>(settings.integer(Opt::kThreads));
  options.threads = threads > 0 ? threads : ThreadPool::available_processors();
  BOBBY_TRY(options.quantize_rows, make_row_quantizer(settings));
  return options;
}

ordered_json report_json(const std::string& folder, const QuantizedModel& made, double seconds) {
  ordered_json errors = ordered_json::array();
  for (const TensorError& error : made.errors)
    errors.push_back({{"path", error.path},
                      {"bits", error.quantization.bits},
                      {"group_size", error.quantization.group_size},
                      {"relative_error", error.relative},
                      {"largest_error", error.largest}});
  return {{"folder", folder},
          {"quantized", made.quantized},
          {"left_dense", made.left_dense},
          {"bytes_before", made.bytes_before},
          {"bytes_after", made.bytes_after},
          {"files", made.files},
          {"files_taken_up", made.files_taken_up},
          {"seconds", seconds},
          {"errors", errors}};
}

/// Modules of one name ("q_proj") and width.
struct Kind {
  std::int64_t count = 0;
  double sum = 0;
  double largest = 0;
  const TensorError* worst = nullptr;
};

/// One line for each kind of module, in the order that they come.
void print_errors(const std::vector<TensorError>& errors, Console& console) {
  std::vector<std::string> order;
  std::map<std::string, Kind> kinds;
  for (const TensorError& error : errors) {
    const std::string name = fmt::format("{} {}:{}", error.path.substr(error.path.rfind('.') + 1),
                                         error.quantization.bits, error.quantization.group_size);
    Kind& kind = kinds[name];
    if (kind.count++ == 0) order.push_back(name);
    kind.sum += error.relative;
    kind.largest = std::max(kind.largest, error.largest);
    if (kind.worst == nullptr || error.relative > kind.worst->relative) kind.worst = &error;
  }
  if (errors.empty()) return;
  console.note(fmt::format("{:<20} {:>7} {:>9} {:>9} {:>9}  {}", "error of", "modules", "mean",
                           "worst", "largest", "worst module"));
  for (const std::string& name : order) {
    const Kind& kind = kinds.at(name);
    console.note(fmt::format("{:<20} {:>7} {:>8.3f}% {:>8.3f}% {:>9.2e}  {}", name, kind.count,
                             100 * kind.sum / static_cast<double>(kind.count),
                             100 * kind.worst->relative, kind.largest, kind.worst->path));
  }
  for (const TensorError& error : errors)
    console.detail(fmt::format("{} {}:{}: relative error {:.4f}%, largest {:.3e}", error.path,
                               error.quantization.bits, error.quantization.group_size,
                               100 * error.relative, error.largest));
}

/// quantize_model(), with a word on what stays behind when it is stopped.
Result<QuantizedModel> quantize(const std::string& source, const std::string& folder,
                                const QuantizeModelOptions& options, Console& console) {
  const auto tell = [&] {
    std::error_code ignored;
    const auto partial = ResumableFolder::partial_of(folder);
    if (std::filesystem::exists(partial, ignored))
      console.note(
          fmt::format("the same command goes on from what is finished, in {}", partial.string()));
  };
  RateView view(console);
  try {
    auto made = quantize_model(source, folder, options, view.progress());
    if (!made && made.error().code != ErrorCode::kBusy) tell();
    return made;
  } catch (const Interrupted&) {
    tell();
    throw;
  }
}

Result<int> run(const Invocation& invocation) {
  Console& console = invocation.console;
  const std::string& folder = invocation.arguments[1];
  BOBBY_TRY(const QuantizeModelOptions options, read_options(invocation.settings));
  const Stopwatch time;
  BOBBY_TRY(const QuantizedModel made, quantize(invocation.arguments[0], folder, options, console));
  console.end_progress();
  const double seconds = time.milliseconds() / 1e3;
  if (console.json()) {
    console.print_json(report_json(folder, made, seconds));
    return kDone;
  }
  if (made.files_taken_up > 0)
    console.note(fmt::format("{} of {} files were there from an earlier run", made.files_taken_up,
                             made.files));
  print_errors(made.errors, console);
  console.note(fmt::format(
      "{}: {} modules quantised, {} left dense, {:.0f} MB from {:.0f} MB, in {:.1f} s", folder,
      made.quantized, made.left_dense.size(), static_cast<double>(made.bytes_after) / 1e6,
      static_cast<double>(made.bytes_before) / 1e6, seconds));
  for (const std::string& module : made.left_dense)
    console.detail(fmt::format("left dense: {}", module));
  return kDone;
}

constexpr Argument kArguments[] = {{"SRC", true, "A dense model folder (bf16, f16 or f32)"},
                                   {"DST", true, "The model folder to make; must not exist"}};
constexpr Opt kOptions[] = {Opt::kBits, Opt::kGroupSize, Opt::kRecipe, Opt::kOverride,
                            Opt::kRounding};
constexpr Example kExamples[] = {
    {"bobby model quantize ./Qwen3-8B ./Qwen3-8B-4bit --bits 4 --group-size 64",
     "as the published MLX models are made"},
    {"bobby model quantize ./Qwen3-8B ./Qwen3-8B-mixed --recipe mixed_3_6",
     "3 bits, and 6 where they tell most, as `mlx_lm.convert --quant-predicate mixed_3_6`"},
    {"bobby model quantize ./Qwen3-8B ./out --override '*.down_proj=6' --override lm_head=8:32",
     "4 bits but for these"},
};

}  // namespace

const Command kModelQuantize = {
    .group = "model",
    .name = "quantize",
    .summary = "quantise a dense model folder",
    .description =
        "Quantises every linear layer and the embedding of a dense model folder to MLX's affine "
        "format, bit for bit as MLX does on its GPUs or, with --rounding cpu, on its CPU, and says "
        "what each lost. Weights stream through: under 300 MB of memory, with the system's cache, "
        "do for any size. A run that was stopped goes on where it was when the same line is given "
        "again.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
