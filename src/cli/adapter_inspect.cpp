// bobby adapter inspect: what an adapter folder holds.

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "app/obtain.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "lora/adapter.h"

namespace bobby::cli {
namespace {

double norm(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

// Modules of one kind ("self_attn.q_proj") over all layers.
struct Kind {
  std::int64_t modules = 0;
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  std::set<std::int64_t> ranks;
  double norm_a = 0.0;  // largest of the kind
  double norm_b = 0.0;
};

// "model.layers.20.self_attn.q_proj" → {20, "self_attn.q_proj"}; {-1, path} outside the layers.
std::pair<std::int64_t, std::string> split_path(const std::string& path) {
  const auto begin = path.find("layers.");
  if (begin == std::string::npos) return {-1, path};
  const auto number = begin + 7;
  const auto dot = path.find('.', number);
  if (dot == std::string::npos) return {-1, path};
  return {integer_value(path.substr(number, dot - number)), path.substr(dot + 1)};
}

struct Summary {
  std::map<std::string, Kind> kinds;
  std::set<std::int64_t> layers;
};

Summary summarize(const Adapter& adapter) {
  Summary summary;
  for (const AdapterModule& module : adapter.modules) {
    const auto [layer, name] = split_path(module.path);
    if (layer >= 0) summary.layers.insert(layer);
    Kind& kind = summary.kinds[name];
    ++kind.modules;
    kind.in_features = module.in_features;
    kind.out_features = module.out_features;
    kind.ranks.insert(module.rank);
    kind.norm_a = std::max(kind.norm_a, norm(module.a));
    kind.norm_b = std::max(kind.norm_b, norm(module.b));
  }
  return summary;
}

void print_json(const Adapter& adapter, const Summary& summary, Console& console) {
  nlohmann::ordered_json object = {
      {"folder", adapter.folder.string()},
      {"source", adapter.source == Adapter::Source::kMlx ? "mlx" : "peft"},
      {"dora", adapter.dora},
      {"scale", adapter.scale},
      {"parameters", adapter.parameter_count()},
      {"sha256", adapter.sha256},
      {"layers", summary.layers}};
  for (const AdapterModule& module : adapter.modules)
    object["modules"].push_back({{"path", module.path},
                                 {"rank", module.rank},
                                 {"in_features", module.in_features},
                                 {"out_features", module.out_features},
                                 {"scale", module.scale},
                                 {"norm_a", norm(module.a)},
                                 {"norm_b", norm(module.b)}});
  console.print_json(object);
}

void print_text(const Adapter& adapter, const Summary& summary, Console& console) {
  console.print(fmt::format("folder      {}", adapter.folder.string()));
  console.print(fmt::format("kind        {} of {}", adapter.dora ? "DoRA" : "LoRA",
                            adapter.source == Adapter::Source::kMlx ? "mlx-lm" : "PEFT"));
  console.print(fmt::format("scale       {}", adapter.scale));
  console.print(fmt::format("parameters  {} ({:.1f} MB in float32)", adapter.parameter_count(),
                            static_cast<double>(adapter.parameter_count()) * 4e-6));
  console.print(fmt::format("layers      {}",
                            summary.layers.empty()
                                ? "none"
                                : fmt::format("{} ({} to {})", summary.layers.size(),
                                              *summary.layers.begin(), *summary.layers.rbegin())));
  console.print(fmt::format("sha256      {}", adapter.sha256));
  console.print(fmt::format("\n{:<24}{:>8}{:>8}{:>8}{:>8}{:>12}{:>12}", "module", "count", "rank",
                            "in", "out", "max |A|", "max |B|"));
  for (const auto& [name, kind] : summary.kinds)
    console.print(fmt::format("{:<24}{:>8}{:>8}{:>8}{:>8}{:>12.4g}{:>12.4g}", name, kind.modules,
                              fmt::format("{}", fmt::join(kind.ranks, ",")), kind.in_features,
                              kind.out_features, kind.norm_a, kind.norm_b));
}

Result<int> run(const Invocation& invocation) {
  BOBBY_TRY(const AdapterName name,
            obtain_adapter(invocation.arguments.front(), invocation.settings,
                           pull_view(invocation.console, invocation.settings)));
  BOBBY_TRY(const Adapter adapter, load_adapter(name.folder));
  const Summary summary = summarize(adapter);
  if (invocation.console.json())
    print_json(adapter, summary, invocation.console);
  else
    print_text(adapter, summary, invocation.console);
  return kDone;
}

constexpr Argument kArguments[] = {
    {"ADAPTER", true, "Adapter folder of mlx-lm or PEFT, or a name"}};
constexpr Example kExamples[] = {
    {"bobby adapter inspect ./adapters", "its scale, layers, ranks and the size of its numbers"},
    {"bobby adapter inspect ./adapters --json", "the same, module by module"},
};

}  // namespace

const Command kAdapterInspect = {
    .group = "adapter",
    .name = "inspect",
    .summary = "show what an adapter folder holds",
    .description =
        "Reads and checks an adapter folder and shows its scale, rank, layers, parameters and the "
        "norms of its matrices (|B| is 0 in an adapter that was never trained).",
    .arguments = kArguments,
    .options = {},
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
