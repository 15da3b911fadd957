// bobby bench: how fast a model runs here, beside how fast it could.

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/device.h"
#include "app/engine.h"
#include "app/obtain.h"
#include "base/sha256.h"
#include "cli/command.h"
#include "cli/decode_run.h"
#include "cli/measure.h"
#include "cli/pull_view.h"
#include "cli/signals.h"

namespace bobby::cli {
namespace {

struct BenchPlan {
  std::int64_t prompt_tokens = 0;
  std::int64_t gen_tokens = 0;
  std::uint64_t seed = 0;
  KvFormat kv = KvFormat::kF16;
  std::int64_t adapters_by_row = 0;
  bool shared_prompt = false;
  bool stages = false;
};

using RowAdapters = std::vector<std::span<const AdapterUse>>;

// The adapters of each of `rows` rows: all of them, or with --adapters-by-row one or none.
RowAdapters adapters_of_rows(const BenchPlan& plan, std::int64_t rows,
                             std::span<const AdapterUse> adapters) {
  RowAdapters of_rows(static_cast<std::size_t>(rows), adapters);
  if (plan.adapters_by_row == 0) return of_rows;
  for (std::size_t row = 0; row < of_rows.size(); ++row) {
    const std::size_t number = row % static_cast<std::size_t>(plan.adapters_by_row);
    of_rows[row] = number < adapters.size() ? adapters.subspan(number, 1) : adapters.first(0);
  }
  return of_rows;
}

Result<void> check_adapters_by_row(const BenchPlan& plan, std::size_t adapters) {
  const auto rows = static_cast<std::size_t>(plan.adapters_by_row);
  if (rows == 0 || (adapters > 0 && rows >= adapters)) return {};
  return fail({.code = ErrorCode::kUsage,
               .where = "--adapters-by-row",
               .problem = adapters == 0 ? "has no adapters to give" : "leaves adapters out",
               .expected = adapters == 0
                               ? "--adapter with it"
                               : fmt::format("at least {} for as many adapters", adapters),
               .found = fmt::format("{}", rows)});
}

// Token `position` of sequence `row`: any id will do, as long as it is the same everywhere.
std::int32_t token_at(const BenchPlan& plan, std::int64_t vocab_size, std::size_t row,
                      std::int64_t position) {
  std::uint64_t x = plan.seed * 0x9e3779b97f4a7c15u + (std::uint64_t{row} << 32) +
                    static_cast<std::uint64_t>(position) + 1;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;  // the mixing steps of splitmix64
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return static_cast<std::int32_t>((x ^ (x >> 31)) % static_cast<std::uint64_t>(vocab_size));
}

std::vector<std::vector<std::int32_t>> tokens_at(const BenchPlan& plan, const Model& model,
                                                 std::span<const std::size_t> rows,
                                                 std::int64_t begin, std::int64_t count) {
  std::vector<std::vector<std::int32_t>> tokens(rows.size());
  for (std::size_t index = 0; index < rows.size(); ++index) {
    tokens[index].reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = begin; i < begin + count; ++i) {
      const bool shared = plan.shared_prompt && i < plan.prompt_tokens;
      tokens[index].push_back(
          token_at(plan, model.config().vocab_size, shared ? 0 : rows[index], i));
    }
  }
  return tokens;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// One measurement: a prompt, then one token at a time.
struct Measurement {
  double prefill_ms = 0.0;
  std::vector<double> step_ms;
  std::vector<float> logits;  // of the last step, [rows, vocab_size]
  std::int64_t prompts = 0;   // computed

  double total_ms() const {
    double total = 0.0;
    for (const double step : step_ms) total += step;
    return total;
  }
  double median_ms() const { return median(step_ms); }
};

// A run under measurement. Two of them, with and without adapters, take turns.
class Measured {
 public:
  Measured(Model& model, const BenchPlan& plan, DecodeRun decode)
      : model_(model), plan_(plan), decode_(std::move(decode)) {}

  static Result<Measured> make(Model& model, const BenchPlan& plan, RowAdapters adapters) {
    BOBBY_TRY(DecodeRun decode,
              DecodeRun::make(model,
                              {.max_tokens = plan.prompt_tokens + plan.gen_tokens,
                               .kv_format = plan.kv,
                               .shared_tokens = plan.shared_prompt ? plan.prompt_tokens : 0},
                              std::move(adapters)));
    return Measured(model, plan, std::move(decode));
  }

  Result<void> prefill() {
    constexpr std::int64_t kChunk = 512;
    result.prompts = static_cast<std::int64_t>(decode_.computing().size());
    const Stopwatch time;
    for (std::int64_t begin = 0; begin < plan_.prompt_tokens; begin += kChunk) {
      const std::int64_t count = std::min(kChunk, plan_.prompt_tokens - begin);
      const bool last = begin + count == plan_.prompt_tokens;
      BOBBY_CHECK(step(begin, count, last ? LogitsRows::kLast : LogitsRows::kNone));
    }
    result.prefill_ms = time.milliseconds();
    return {};
  }

  // Decodes up to `count` more tokens; false when all are done.
  Result<bool> decode(std::int64_t count) {
    for (; count > 0 && done_ < plan_.gen_tokens; --count, ++done_) {
      if (cancelled()) return fail({.code = ErrorCode::kCancelled, .problem = "interrupted"});
      const Stopwatch time;
      BOBBY_TRY(const Activation logits,
                advance(plan_.prompt_tokens + done_, 1, LogitsRows::kLast));
      // What the generator would ask for to draw from them.
      BOBBY_TRY(const auto tops, model_.backend().top_logits(logits));
      if (tops.empty()) BOBBY_CHECK(copy_out(logits));
      result.step_ms.push_back(time.milliseconds());
      if (!tops.empty() && done_ + 1 == plan_.gen_tokens) BOBBY_CHECK(copy_out(logits));
    }
    return done_ < plan_.gen_tokens;
  }

  const KvStorage& kv() const { return decode_.kv(); }

  Measurement result;

 private:
  Result<void> step(std::int64_t begin, std::int64_t count, LogitsRows which) {
    BOBBY_TRY(const Activation logits, advance(begin, count, which));
    return which == LogitsRows::kNone ? model_.backend().sync() : copy_out(logits);
  }

  Result<Activation> advance(std::int64_t begin, std::int64_t count, LogitsRows which) {
    return decode_.advance(tokens_at(plan_, model_, decode_.computing(), begin, count), which);
  }

  Result<void> copy_out(Activation logits) {
    result.logits.resize(static_cast<std::size_t>(logits.rows * logits.cols));
    return model_.backend().copy_out(logits, result.logits);
  }

  Model& model_;
  BenchPlan plan_;
  DecodeRun decode_;
  std::int64_t done_ = 0;
};

struct BatchResult {
  std::int64_t rows = 0;
  std::vector<StageTime> prefill_stages;  // with --stages
  std::vector<StageTime> decode_stages;
  Measurement with;                      // with the adapters, if any
  std::unique_ptr<Measurement> without;  // only when there are adapters
  std::size_t kv_bytes = 0;
  std::uint64_t kv_saturated = 0;  // numbers that its format could not hold
};

// A short run that is not measured: a device compiles, loads and reserves at first use.
Result<void> warm_up(Model& model, BenchPlan plan, RowAdapters adapters) {
  plan.prompt_tokens = std::min<std::int64_t>(plan.prompt_tokens, 32);
  plan.gen_tokens = std::min<std::int64_t>(plan.gen_tokens, 2);
  BOBBY_TRY(Measured run, Measured::make(model, plan, std::move(adapters)));
  BOBBY_CHECK(run.prefill());
  BOBBY_CHECK(run.decode(plan.gen_tokens));
  return {};
}

Result<BatchResult> measure_batch(Model& model, const BenchPlan& plan, std::int64_t rows,
                                  std::span<const AdapterUse> adapters) {
  BOBBY_CHECK(warm_up(model, plan, adapters_of_rows(plan, rows, adapters)));
  if (!adapters.empty())
    BOBBY_CHECK(warm_up(model, plan, RowAdapters(static_cast<std::size_t>(rows))));
  BOBBY_TRY(Measured with, Measured::make(model, plan, adapters_of_rows(plan, rows, adapters)));
  std::optional<Measured> without;
  if (!adapters.empty() && !plan.stages) {  // a step of both would be in the stages
    BOBBY_TRY(Measured base,
              Measured::make(model, plan, RowAdapters(static_cast<std::size_t>(rows))));
    without.emplace(std::move(base));
    BOBBY_CHECK(without->prefill());
  }
  take_stages(model.backend());
  BOBBY_CHECK(with.prefill());
  std::vector<StageTime> prefill_stages = take_stages(model.backend());
  constexpr std::int64_t kTurn = 1;  // step by step: both see the same neighbours
  for (bool more = true; more;) {
    BOBBY_TRY(more, with.decode(kTurn));
    if (without) BOBBY_CHECK(without->decode(kTurn));
  }
  const KvShape& kv = with.kv().shape();
  BatchResult batch{.rows = rows,
                    .prefill_stages = std::move(prefill_stages),
                    .decode_stages = take_stages(model.backend()),
                    .with = std::move(with.result),
                    .without = nullptr,
                    .kv_bytes = static_cast<std::size_t>(kv.blocks) * kv.block_bytes(),
                    .kv_saturated = with.kv().saturated()};
  if (without) batch.without = std::make_unique<Measurement>(std::move(without->result));
  return batch;
}

// What the adapters add to a step: the median over pairs of steps taken one right after the other.
double lora_cost(const Measurement& with, const Measurement& without) {
  std::vector<double> ratios(with.step_ms.size());
  std::ranges::transform(with.step_ms, without.step_ms, ratios.begin(), std::divides());
  return median(std::move(ratios)) - 1.0;
}

struct Machine {
  double load_ms = 0.0;
  std::size_t peak_rss = 0;
  double bandwidth = 0.0;          // GB/s, of memory at its best
  double weights_bandwidth = 0.0;  // of the pages that the weights lie in; 0: not known
};

// The numbers of a batch, ready to be shown.
struct Report {
  double prefill_tok_s, decode_tok_s, decode_gb_s, share_of_bandwidth;
  std::optional<double> share_of_weights_bandwidth;
  std::optional<double> lora_cost;
  std::string logits_hash;
};

Report report_of(const BatchResult& batch, const BenchPlan& plan, const Model& model,
                 const Machine& machine) {
  const double steps_a_second =
      1000.0 * static_cast<double>(batch.with.step_ms.size()) / batch.with.total_ms();
  Report report{};
  report.prefill_tok_s =
      1000.0 * static_cast<double>(plan.prompt_tokens * batch.with.prompts) / batch.with.prefill_ms;
  report.decode_tok_s = steps_a_second * static_cast<double>(batch.rows);
  report.decode_gb_s = steps_a_second * static_cast<double>(model.decode_bytes()) / 1e9;
  if (machine.bandwidth > 0.0) report.share_of_bandwidth = report.decode_gb_s / machine.bandwidth;
  if (machine.weights_bandwidth > 0.0)
    report.share_of_weights_bandwidth = report.decode_gb_s / machine.weights_bandwidth;
  if (batch.without) report.lora_cost = lora_cost(batch.with, *batch.without);
  report.logits_hash = sha256_hex(std::as_bytes(std::span(batch.with.logits))).substr(0, 16);
  return report;
}

void print_batch(Console& console, const BatchResult& batch, const Report& report) {
  if (console.json()) {
    nlohmann::ordered_json object = {{"batch", batch.rows},
                                     {"prompts", batch.with.prompts},
                                     {"prefill_ms", batch.with.prefill_ms},
                                     {"prefill_tok_s", report.prefill_tok_s},
                                     {"decode_tok_s", report.decode_tok_s},
                                     {"decode_median_ms", batch.with.median_ms()},
                                     {"decode_gb_s", report.decode_gb_s},
                                     {"share_of_bandwidth", report.share_of_bandwidth},
                                     {"kv_bytes", batch.kv_bytes},
                                     {"kv_saturated", batch.kv_saturated},
                                     {"logits_sha256", report.logits_hash}};
    if (report.share_of_weights_bandwidth)
      object["share_of_weights_bandwidth"] = *report.share_of_weights_bandwidth;
    if (report.lora_cost) object["lora_cost"] = *report.lora_cost;
    console.print_json(object);
    return;
  }
  console.print(fmt::format(
      "batch {:<3} prefill {:8.1f} tok/s   decode {:8.2f} tok/s   {:6.2f} GB/s = {:3.0f}% of the "
      "bandwidth{}{}   logits {}",
      batch.rows, report.prefill_tok_s, report.decode_tok_s, report.decode_gb_s,
      100.0 * report.share_of_bandwidth,
      report.share_of_weights_bandwidth
          ? fmt::format(", {:.0f}% of its pages'", 100.0 * *report.share_of_weights_bandwidth)
          : "",
      report.lora_cost ? fmt::format("   LoRA {:+.1f}% a step", 100.0 * *report.lora_cost) : "",
      report.logits_hash));
}

// A table of what one step's operations took, or JSON.
void print_stages(Console& console, std::string_view what, const std::vector<StageTime>& stages,
                  std::int64_t rows, double steps) {
  double total = 0.0;
  for (const StageTime& stage : stages) total += stage.milliseconds;
  if (console.json()) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const StageTime& stage : stages)
      list.push_back({{"name", stage.name},
                      {"ms", stage.milliseconds / steps},
                      {"calls", static_cast<double>(stage.calls) / steps},
                      {"weight_bytes", static_cast<double>(stage.weight_bytes) / steps}});
    if (!list.empty()) console.print_json({{"batch", rows}, {"stages_of", what}, {"stages", list}});
    return;
  }
  for (const StageTime& stage : stages)
    console.print(fmt::format(
        "  {:<8} {:<24} {:9.3f} ms {:5.1f}%  {:5.0f} calls{}", what, stage.name,
        stage.milliseconds / steps, 100.0 * stage.milliseconds / total,
        static_cast<double>(stage.calls) / steps,
        stage.weight_bytes == 0
            ? ""
            : fmt::format("  {:7.2f} GB/s",
                          static_cast<double>(stage.weight_bytes) / stage.milliseconds / 1e6)));
}

void print_machine(Console& console, const LoadedModel& loaded, const Machine& machine) {
  if (console.json()) {
    console.print_json({{"backend", loaded.backend->description()},
                        {"load_ms", machine.load_ms},
                        {"weight_bytes", loaded.model->weight_bytes()},
                        {"decode_bytes", loaded.model->decode_bytes()},
                        {"peak_rss_bytes", machine.peak_rss},
                        {"read_bandwidth_gb_s", machine.bandwidth},
                        {"weights_bandwidth_gb_s", machine.weights_bandwidth}});
    return;
  }
  console.print(fmt::format("{}", loaded.backend->description()));
  console.print(
      fmt::format("load {:.0f} ms   weights {:.2f} GB, {:.2f} GB read a step   memory "
                  "{:.2f} GB at most   read bandwidth {:.1f} GB/s{}",
                  machine.load_ms, static_cast<double>(loaded.model->weight_bytes()) / 1e9,
                  static_cast<double>(loaded.model->decode_bytes()) / 1e9,
                  static_cast<double>(machine.peak_rss) / 1e9, machine.bandwidth,
                  machine.weights_bandwidth > 0.0
                      ? fmt::format(", {:.1f} in the weights' pages", machine.weights_bandwidth)
                      : ""));
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  const int threads = static_cast<int>(settings.integer(Opt::kThreads));
  const BenchPlan plan{settings.integer(Opt::kPromptTokens),
                       settings.integer(Opt::kGenTokens),
                       static_cast<std::uint64_t>(settings.integer(Opt::kBenchSeed)),
                       kv_format(settings),
                       settings.integer(Opt::kAdaptersByRow),
                       settings.flag(Opt::kSharedPrompt),
                       settings.flag(Opt::kStages)};
  const auto watch = pull_view(invocation.console, settings);
  BOBBY_TRY(const auto folder, obtain_model(settings.text(Opt::kModel), settings, watch));
  BOBBY_TRY(const auto adapters, load_adapters(settings, watch));
  BOBBY_CHECK(check_adapters_by_row(plan, adapters.size()));

  // Before and after, since neighbours come and go; its buffer must not count as the model's.
  Machine machine;
  if (reset_peak_rss()) {
    machine.bandwidth = read_bandwidth(threads);
    reset_peak_rss();
  }
  const Stopwatch load_time;
  BOBBY_TRY(const auto loaded, load_model(settings, folder, TokenizerUse::kNone));
  machine.load_ms = load_time.milliseconds();
  Model& model = *loaded->model;
  BOBBY_TRY(const std::vector<AdapterUse> attached, attach_adapters(model, adapters));
  std::vector<BatchResult> batches;
  for (const std::int64_t rows : settings.integers(Opt::kBatch)) {
    invocation.console.detail(fmt::format("batch {}", rows));
    BOBBY_TRY(BatchResult batch, measure_batch(model, plan, rows, attached));
    invocation.console.detail(fmt::format("KV cache {:.0f} MB in {}, {} numbers beyond its range",
                                          static_cast<double>(batch.kv_bytes) / 1e6,
                                          kv_format_name(plan.kv), batch.kv_saturated));
    batches.push_back(std::move(batch));
  }
  machine.peak_rss = peak_rss_bytes();
  BOBBY_TRY(const double of_device, loaded->backend->read_bandwidth());
  machine.bandwidth =
      of_device > 0.0 ? of_device : std::max(machine.bandwidth, read_bandwidth(threads));
  if (loaded->backend->name() == "cpu")  // which reads them where they are mapped
    machine.weights_bandwidth = weights_bandwidth(folder, threads);

  print_machine(invocation.console, *loaded, machine);
  for (const BatchResult& batch : batches)
    print_batch(invocation.console, batch, report_of(batch, plan, model, machine));
  for (const BatchResult& batch : batches) {
    print_stages(invocation.console, "prefill", batch.prefill_stages, batch.rows, 1.0);
    print_stages(invocation.console, "step", batch.decode_stages, batch.rows,
                 static_cast<double>(batch.with.step_ms.size()));
  }
  return kDone;
}

constexpr Opt kOptions[] = {Opt::kPromptTokens,  Opt::kGenTokens,    Opt::kBatch, Opt::kBenchSeed,
                            Opt::kAdaptersByRow, Opt::kSharedPrompt, Opt::kStages};
constexpr Example kExamples[] = {
    {"bobby bench", "the demo model, alone and ten posts at a time"},
    {"bobby bench --model ./qwen3-8b-random --adapter ./adapter --batch 1",
     "what a runtime LoRA costs"},
    {"bobby bench --batch 10,64 -a ./a -a ./b --adapters-by-row 3 --shared-prompt",
     "adapters mixed among the sequences: a third has ./a, a third ./b and a third none"},
    {"bobby bench --batch 1 --stages", "where the time of a step goes"},
};

}  // namespace

const Command kBench = {
    .group = "",
    .name = "bench",
    .summary = "measure speed and memory, beside what the machine could do",
    .description =
        "Runs a model on random token ids and shows prefill and decode speed, the weights read a "
        "second beside the read bandwidth measured in the same run, load time, the most memory, "
        "and a hash of the last logits, so that a speed-up that changes answers shows. Each "
        "measurement comes after a short run that warms up. With --adapter, runs with and without "
        "it take turns.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
