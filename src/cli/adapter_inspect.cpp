// bobby adapter inspect: what an adapter holds.

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "app/obtain.h"
#include "app/voice_setup.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "lora/adapter.h"
#include "lora/block_path.h"
#include "lora/delta_norm.h"

namespace bobby::cli {
namespace {

// Modules of one kind ("self_attn.q_proj") over all layers.
struct Kind {
  std::int64_t modules = 0;
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  std::set<std::int64_t> ranks;
  std::set<float> scales;
  double smallest = 0.0;  // of the deltas' norms
  double largest = 0.0;
};

struct Summary {
  std::map<std::string, Kind> kinds;
  std::set<std::int64_t> layers;
  std::vector<double> norms;  // in the order of the modules
  double norm = 0.0;          // of all deltas together
};

Summary summarize(const Adapter& adapter) {
  Summary summary;
  double squares = 0.0;
  for (const AdapterModule& module : adapter.modules) {
    const BlockPath block = block_path(module.path);
    if (block.layer) summary.layers.insert(*block.layer);
    const double norm = delta_norm(module);
    summary.norms.push_back(norm);
    squares += norm * norm;
    Kind& kind = summary.kinds[std::string(block.rest)];
    kind.smallest = kind.modules == 0 ? norm : std::min(kind.smallest, norm);
    kind.largest = std::max(kind.largest, norm);
    ++kind.modules;
    kind.in_features = module.in_features;
    kind.out_features = module.out_features;
    kind.ranks.insert(module.rank);
    kind.scales.insert(module.scale);
  }
  summary.norm = std::sqrt(squares);
  return summary;
}

nlohmann::ordered_json text_or_null(const std::optional<std::string>& text) {
  return text ? nlohmann::ordered_json(*text) : nlohmann::ordered_json(nullptr);
}

void print_json(const Adapter& adapter, const Summary& summary,
                const std::optional<VoiceFile>& voice, Console& console) {
  const auto form = voice && voice->prompt_form
                        ? std::optional<std::string>(voice->prompt_form->name)
                        : std::nullopt;
  nlohmann::ordered_json object = {
      {"folder", adapter.folder.string()},
      {"source", source_name(adapter.source)},
      {"dora", adapter.dora},
      {"scale", adapter.scale},
      {"parameters", adapter.parameter_count()},
      {"sha256", adapter.sha256},
      {"base", adapter.base_name.empty() ? nlohmann::ordered_json(nullptr)
                                         : nlohmann::ordered_json(adapter.base_name)},
      {"architecture", adapter.architecture.empty() ? nlohmann::ordered_json(nullptr)
                                                    : nlohmann::ordered_json(adapter.architecture)},
      {"base_digest", text_or_null(voice ? voice->base_digest : std::nullopt)},
      {"prompt_form", text_or_null(form)},
      {"layers", summary.layers},
      {"delta_norm", summary.norm}};
  for (std::size_t i = 0; i < adapter.modules.size(); ++i) {
    const AdapterModule& module = adapter.modules[i];
    object["modules"].push_back({{"path", module.path},
                                 {"rank", module.rank},
                                 {"in_features", module.in_features},
                                 {"out_features", module.out_features},
                                 {"scale", module.scale},
                                 {"dtype", dtype_name(module.dtype)},
                                 {"delta_norm", summary.norms[i]}});
  }
  console.print_json(object);
}

std::string kind_of(const Adapter& adapter) {
  const std::string_view kind = adapter.dora ? "DoRA" : "LoRA";
  switch (adapter.source) {
    case Adapter::Source::kMlx: return fmt::format("{} of mlx-lm", kind);
    case Adapter::Source::kPeft: return fmt::format("{} of PEFT", kind);
    case Adapter::Source::kGguf: break;
  }
  return fmt::format("{} of llama.cpp (GGUF), for the {} architecture", kind, adapter.architecture);
}

void print_text(const Adapter& adapter, const Summary& summary,
                const std::optional<VoiceFile>& voice, Console& console) {
  const auto line = [&](std::string_view name, std::string_view text) {
    console.print(fmt::format("{:<12}{}", name, text));
  };
  line(adapter.source == Adapter::Source::kGguf ? "file" : "folder", adapter.folder.string());
  line("kind", kind_of(adapter));
  line("scale", fmt::format("{}", adapter.scale));
  line("parameters", fmt::format("{} ({:.1f} MB in float32)", adapter.parameter_count(),
                                 static_cast<double>(adapter.parameter_count()) * 4e-6));
  line("layers", summary.layers.empty()
                     ? "none"
                     : fmt::format("{} ({} to {})", summary.layers.size(), *summary.layers.begin(),
                                   *summary.layers.rbegin()));
  line("sha256", adapter.sha256);
  if (!adapter.base_name.empty()) line("base", adapter.base_name);
  if (voice && voice->base_digest) line("base digest", *voice->base_digest);
  if (voice && voice->prompt_form) line("prompt form", voice->prompt_form->name);
  line("|delta|", fmt::format("{:.4g}{}", summary.norm,
                              adapter.dora ? ", without the magnitudes of DoRA" : ""));
  console.print(fmt::format("\n{:<24}{:>8}{:>8}{:>10}{:>8}{:>8}{:>22}", "module", "count", "rank",
                            "scale", "in", "out", "|delta|"));
  for (const auto& [name, kind] : summary.kinds)
    console.print(fmt::format("{:<24}{:>8}{:>8}{:>10}{:>8}{:>8}{:>22}", name, kind.modules,
                              fmt::format("{}", fmt::join(kind.ranks, ",")),
                              fmt::format("{:.5g}", fmt::join(kind.scales, ",")), kind.in_features,
                              kind.out_features,
                              fmt::format("{:.4g} to {:.4g}", kind.smallest, kind.largest)));
}

Result<int> run(const Invocation& invocation) {
  BOBBY_TRY(const AdapterName name,
            obtain_adapter(invocation.arguments.front(), invocation.settings,
                           pull_view(invocation.console, invocation.settings)));
  BOBBY_TRY(const Adapter adapter, load_adapter(name.folder));
  BOBBY_TRY(const std::optional<VoiceFile> voice, load_adapter_voice(name.folder));
  const Summary summary = summarize(adapter);
  if (invocation.console.json())
    print_json(adapter, summary, voice, invocation.console);
  else
    print_text(adapter, summary, voice, invocation.console);
  return kDone;
}

constexpr Argument kArguments[] = {
    {"ADAPTER", true, "Adapter folder of mlx-lm or PEFT, a .gguf file, or a name"}};
constexpr Example kExamples[] = {
    {"bobby adapter inspect ./adapters", "its scale, layers, ranks and how much it changes"},
    {"bobby adapter inspect ./adapters --json", "the same, module by module"},
};

}  // namespace

const Command kAdapterInspect = {
    .group = "adapter",
    .name = "inspect",
    .summary = "show what an adapter holds",
    .description =
        "Reads and checks an adapter and shows its effective scale, ranks, layers and modules, the "
        "base and prompt form it was trained with, and the size of what it adds to each weight: "
        "|delta| is the Frobenius norm of scale * B A, 0 in an adapter that was never trained.",
    .arguments = kArguments,
    .options = {},
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
