#include "cli/adapter_conversion.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/engine.h"
#include "app/obtain.h"
#include "app/voice_setup.h"
#include "cli/pull_view.h"
#include "lora/conversion.h"
#include "model/config.h"

namespace bobby::cli {
namespace {

// The base that was named, not the demo model that stands for none; its config.json alone.
Result<std::optional<BaseFacts>> named_base(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  if (settings.setting(Opt::kModel).origin == Setting().origin) return std::optional<BaseFacts>();
  BOBBY_TRY(const auto folder, obtain_model(settings.text(Opt::kModel), settings,
                                            pull_view(invocation.console, settings)));
  BOBBY_TRY(const ModelConfig config, ModelConfig::load(folder));
  return BaseFacts{.name = settings.text(Opt::kModel),
                   .model_type = config.model_type,
                   .num_hidden_layers = config.num_hidden_layers,
                   .num_attention_heads = config.num_attention_heads,
                   .num_key_value_heads = config.num_key_value_heads,
                   .head_dim = config.head_dim,
                   .tie_word_embeddings = config.tie_word_embeddings};
}

// "ADAPTER:10" writes 10 for the adapter's own scale; others keep their ratio to it.
void put_scale(Adapter& adapter, float scale, float factor) {
  for (AdapterModule& module : adapter.modules)
    module.scale = module.scale == adapter.scale ? scale : module.scale * factor;
  adapter.scale = scale;
}

std::string_view long_name(Adapter::Source dialect) {
  switch (dialect) {
    case Adapter::Source::kMlx: return "a folder of mlx-lm";
    case Adapter::Source::kPeft: return "a folder of PEFT";
    case Adapter::Source::kGguf: break;
  }
  return "a GGUF file";
}

void report(const Adapter& adapter, const AdapterTarget& target, const AdapterWritten& written,
            Console& console) {
  if (console.json()) {
    console.print_json({{"path", target.path.string()},
                        {"from", source_name(adapter.source)},
                        {"to", source_name(target.dialect)},
                        {"modules", written.modules},
                        {"scale", adapter.scale},
                        {"exact", written.inexact.empty()},
                        {"inexact", written.inexact},
                        {"voice", target.voice_json.has_value()}});
    return;
  }
  console.note(fmt::format("{}: {}, {} modules, scale {}{}{}", target.path.string(),
                           long_name(target.dialect), written.modules, adapter.scale,
                           target.voice_json ? ", with its voice" : "",
                           written.inexact.empty() ? ", every product exactly the same" : ""));
  for (const std::string& sentence : written.inexact) console.note("not exact: " + sentence);
}

}  // namespace

Adapter::Source dialect_of(std::string_view name) {
  if (name == "mlx") return Adapter::Source::kMlx;
  return name == "peft" ? Adapter::Source::kPeft : Adapter::Source::kGguf;
}

Result<void> need_option(const Settings& settings, Opt id) {
  if (settings.given(id)) return {};
  return fail({.code = ErrorCode::kUsage,
               .where = fmt::format("--{}", option(id).name),
               .problem = "is missing",
               .hint = std::string(option(id).help)});
}

Result<int> convert_adapter(const Invocation& invocation, Adapter::Source dialect) {
  const Settings& settings = invocation.settings;
  BOBBY_CHECK(need_option(settings, Opt::kOut));
  AdapterTarget target{.dialect = dialect,
                       .path = settings.text(Opt::kOut),
                       .base = std::nullopt,
                       .voice_json = std::nullopt};
  BOBBY_TRY(target.base, named_base(invocation));
  BOBBY_TRY(AdapterName name, obtain_adapter(invocation.arguments.front(), settings,
                                             pull_view(invocation.console, settings)));
  BOBBY_TRY(Adapter adapter, load_adapter(name.folder));
  if (settings.given(Opt::kFrom) && dialect_of(settings.text(Opt::kFrom)) != adapter.source)
    return fail({.code = ErrorCode::kMismatch,
                 .where = name.folder.string(),
                 .problem = "is not what --from says",
                 .expected = settings.text(Opt::kFrom),
                 .found = std::string(source_name(adapter.source))});
  if (name.scale) {
    BOBBY_TRY(const float factor, scale_factor(adapter, name.scale, name.folder.string()));
    put_scale(adapter, *name.scale, factor);
  }
  BOBBY_TRY(const auto voice, load_adapter_voice(name.folder));
  if (voice) target.voice_json = voice_file_json(*voice);
  auto written = write_adapter(adapter, target);
  if (!written) return fail(std::move(written).error().in(name.folder.string()));
  report(adapter, target, *written, invocation.console);
  return kDone;
}

}  // namespace bobby::cli
