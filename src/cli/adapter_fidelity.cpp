// bobby adapter fidelity: what an adapter keeps of itself in each way of using it.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/device.h"
#include "app/engine.h"
#include "app/obtain.h"
#include "app/voice_setup.h"
#include "base/thread_pool.h"
#include "cli/command.h"
#include "cli/measure.h"
#include "cli/page_file.h"
#include "cli/pull_view.h"
#include "fidelity/html_report.h"
#include "fidelity/json_report.h"
#include "fidelity/measure.h"
#include "fidelity/text_report.h"
#include "lora/conversion.h"
#include "training/dataset.h"

namespace bobby::cli {
namespace {

namespace fs = std::filesystem;

bool is_given(const Settings& settings, Opt id) {
  return settings.setting(id).origin != Setting().origin;
}

fs::path data_file(const std::string& data) {
  std::error_code error;
  const fs::path path(data);
  return fs::is_directory(path, error) ? path / "valid.jsonl" : path;
}

/// Posts as they are trained, in the file's order, up to --positions.
struct Posts {
  std::vector<fidelity::Sequence> chosen;
  std::int64_t all = 0;
};

Result<Posts> read_posts(const Settings& settings, const fs::path& file, const fs::path& folder,
                         const ModelConfig& config, const ChosenAdapter& adapter) {
  BOBBY_TRY(const Tokenizer tokenizer, Tokenizer::from_file(folder / "tokenizer.json"));
  BOBBY_TRY(VoiceSetup voice, set_up_voice(settings, folder, config.model_type, {adapter}));
  EncodingOptions options;
  options.mask_prompt = true;
  options.max_seq_length =
      std::min(settings.integer(Opt::kInspectMaxSeqLength), config.max_position_embeddings);
  options.form = std::move(voice.form);
  BOBBY_TRY(options.facts, read_tokenizer_facts(folder, tokenizer));
  BOBBY_TRY(const RecordEncoder encoder, RecordEncoder::make(tokenizer, std::move(options)));
  BOBBY_TRY(Dataset dataset, read_dataset(file, encoder));
  Posts posts;
  posts.all = static_cast<std::int64_t>(dataset.examples.size());
  const std::int64_t most = settings.integer(Opt::kPositions);
  std::int64_t positions = 0;
  for (TrainingExample& example : dataset.examples) {
    const std::int64_t own = example.length() - std::max<std::int64_t>(1, example.loss_begin);
    if (own < 1) continue;
    if (most > 0 && positions + own > most && positions > 0) break;
    positions += own;
    posts.chosen.push_back({std::move(example.tokens), example.loss_begin});
  }
  if (posts.chosen.empty())
    return fail(
        {.code = ErrorCode::kUsage, .where = file.string(), .problem = "holds no post to look at"});
  return posts;
}

std::string adapter_kind(const Adapter& adapter, float factor) {
  std::int64_t rank = 0;
  for (const AdapterModule& module : adapter.modules) rank = std::max(rank, module.rank);
  return fmt::format("{}, rank {}, scale {}, {} modules", adapter.dora ? "DoRA" : "LoRA", rank,
                     adapter.scale * factor, adapter.modules.size());
}

std::string model_kind(const ModelConfig& config) {
  const std::string format = config.quantization
                                 ? fmt::format("{}-bit group {}", config.quantization->bits,
                                               config.quantization->group_size)
                                 : "not quantised";
  return fmt::format("{}, {} blocks, {}", config.model_type, config.num_hidden_layers, format);
}

fidelity::Options options_of(const Settings& settings, Console& console) {
  fidelity::Options options;
  if (is_given(settings, Opt::kBits) || is_given(settings, Opt::kGroupSize))
    options.requantize = {.group_size = static_cast<int>(settings.integer(Opt::kGroupSize)),
                          .bits = static_cast<int>(settings.integer(Opt::kBits))};
  if (settings.text(Opt::kDtype) == "f16") options.fused_type = DType::kF16;
  if (settings.text(Opt::kDtype) == "f32") options.fused_type = DType::kF32;
  options.rounding = settings.text(Opt::kRounding) == "cpu" ? Rounding::kCpu : Rounding::kGpu;
  options.kv_format = kv_format(settings);
  const int threads = static_cast<int>(settings.integer(Opt::kThreads));
  options.threads = threads > 0 ? threads : ThreadPool::available_processors();
  options.progress = console.progress();
  return options;
}

Result<fidelity::Report> measure(const Invocation& invocation, const fs::path& folder,
                                 const ChosenAdapter& adapter) {
  const Settings& settings = invocation.settings;
  BOBBY_TRY(const ModelConfig config, ModelConfig::load(folder));
  BOBBY_TRY(const auto host, make_host_backend(settings));
  const fidelity::Options options = options_of(settings, invocation.console);
  fidelity::Subject subject{
      .model_folder = folder, .adapter = *adapter.adapter, .factor = adapter.factor, .host = *host};
  std::string data;
  std::int64_t posts = 0;
  std::shared_ptr<LoadedModel> runtime;
  if (settings.given(Opt::kFidelityData)) {
    const fs::path file = data_file(settings.text(Opt::kFidelityData));
    BOBBY_TRY(Posts read, read_posts(settings, file, folder, config, adapter));
    subject.sequences = std::move(read.chosen);
    posts = read.all;
    data = file.string();
    BOBBY_TRY(runtime, load_model(settings, folder, TokenizerUse::kNone));
    BOBBY_TRY(const auto attached, attach_adapters(*runtime->model, {adapter}));
    subject.runtime = runtime->model.get();
    subject.attached = attached.front().adapter;
  }
  BOBBY_TRY(fidelity::Report report, fidelity::measure(subject, options));
  report.adapter = adapter.name.folder.string();
  report.adapter_kind = adapter_kind(*adapter.adapter, adapter.factor);
  report.model = fs::weakly_canonical(folder).filename().string();
  report.model_kind = model_kind(config);
  report.data = std::move(data);
  report.sequences_of = posts;
  return report;
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  BOBBY_TRY(AdapterName name, obtain_adapter(invocation.arguments.front(), settings,
                                             pull_view(invocation.console, settings)));
  BOBBY_TRY(ChosenAdapter adapter, load_chosen_adapter(std::move(name)));
  BOBBY_TRY(const auto folder,
            obtain_model(settings.text(Opt::kModel), settings, pull_view(console, settings)));
  if (adapter.adapter->paired_rows) {
    BOBBY_TRY(const ModelConfig config, ModelConfig::load(folder));
    BOBBY_TRY(Adapter ordered,
              in_checkpoint_order(*adapter.adapter, config.model_type, config.head_dim));
    adapter.adapter = std::make_shared<const Adapter>(std::move(ordered));
  }
  BOBBY_TRY(const fidelity::Report report, measure(invocation, folder, adapter));
  console.end_progress();
  if (settings.given(Opt::kHtml))
    BOBBY_CHECK(write_page(settings.text(Opt::kHtml), fidelity::html_report(report)));
  if (console.json()) {
    nlohmann::ordered_json json = fidelity::json_report(report);
    json["peak_bytes"] = peak_rss_bytes();
    console.print_json(json);
  } else
    console.print_bytes(fidelity::text_report(report));
  return kDone;
}

constexpr Argument kArguments[] = {
    {"ADAPTER", true,
     "Adapter folder of mlx-lm or PEFT, or a name; \":20\" behind it sets its scale"}};
constexpr Opt kOptions[] = {Opt::kFidelityData, Opt::kPositions,  Opt::kHtml,
                            Opt::kDtype,        Opt::kBits,       Opt::kGroupSize,
                            Opt::kRounding,     Opt::kPromptForm, Opt::kInspectMaxSeqLength};
constexpr Example kExamples[] = {
    {"bobby adapter fidelity ./adapters --model ./Qwen3-8B-MLX-4bit",
     "how much of the adapter's change fusing leaves, module by module"},
    {"bobby adapter fidelity ./adapters --data ./posts --html fidelity.html",
     "also what becomes of the posts in ./posts/valid.jsonl, as a table and a page"},
};

}  // namespace

const Command kAdapterFidelity = {
    .group = "adapter",
    .name = "fidelity",
    .summary = "measure what an adapter keeps at run time, fused, and fused and quantised again",
    .description =
        "Compares the ways of using an adapter with base and adapter in fp32: at run time, as this "
        "program uses it; fused into bf16 weights; fused and quantised again. Shows how much of "
        "the "
        "adapter's change is left in each module and, with --data, how far each way's "
        "probabilities are from the reference's on those posts: mean KL divergence, how often the "
        "most likely token is the same, and the perplexity. --device says where the adapter runs "
        "at run time; the reference and what is fused run on the processor, block by block.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
