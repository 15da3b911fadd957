#include "fidelity/measure.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <numeric>
#include <utility>

#include "fidelity/compare.h"
#include "fidelity/host_run.h"
#include "fidelity/modules.h"
#include "fidelity/runtime_run.h"

namespace bobby::fidelity {
namespace {

constexpr std::int64_t kBatchRows = 4096;  // tokens that go through a block together
constexpr std::size_t kCompany = 32;       // posts that the runtime writes together
constexpr std::size_t kComparedRows = 96;  // rows of logits in memory at a time

std::int64_t first_position(const Sequence& sequence) {
  return std::max<std::int64_t>(1, sequence.begin) - 1;
}

std::size_t positions_of(const Sequence& sequence) {
  const auto last = static_cast<std::int64_t>(sequence.tokens.size()) - 1;
  return static_cast<std::size_t>(std::max<std::int64_t>(0, last - first_position(sequence)));
}

/// "model.layers.20.self_attn.q_proj" → 20 and "self_attn.q_proj".
ModuleKept named(const std::string& path) {
  constexpr std::string_view kBlocks = "model.layers.";
  ModuleKept module{.path = path, .projection = path};
  if (!path.starts_with(kBlocks)) return module;
  const std::string_view tail = std::string_view(path).substr(kBlocks.size());
  const auto [end, error] = std::from_chars(tail.data(), tail.data() + tail.size(), module.layer);
  const auto digits = static_cast<std::size_t>(end - tail.data());
  if (error == std::errc() && digits < tail.size()) module.projection = tail.substr(digits + 1);
  return module;
}

class Measurement {
 public:
  Measurement(const Subject& subject, const Options& options, const NetworkWeights& base,
              AdaptedModules& modules, Report& report)
      : subject_(subject),
        options_(options),
        base_(base),
        modules_(modules),
        report_(report),
        pool_(options.threads),
        host_(base, modules, subject, options) {}

  Result<void> run() {
    for (const std::string& path : modules_.adapted_paths()) report_.modules.push_back(named(path));
    if (subject_.sequences.empty()) return run_modules();
    std::size_t positions = 0;
    for (const Sequence& sequence : subject_.sequences) {
      first_place_.push_back(positions);
      positions += positions_of(sequence);
    }
    report_.reference.resize(positions);
    for (std::size_t i = 0; i < kWays; ++i)
      report_.ways.push_back({.way = static_cast<Way>(i), .name = {}, .rows = {}});
    for (WayResult& way : report_.ways) way.rows.resize(positions);
    return run_batches();
  }

 private:
  /// The change alone, without any text.
  Result<void> run_modules() {
    std::uint64_t done = 0;
    for (ModuleKept& module : report_.modules) {
      const auto found = std::ranges::find(base_.loaded.modules, module.path, &Module::path);
      const Linear linear{.weight = found->weight};
      BOBBY_CHECK(modules_.fused(linear, &module.fused));
      BOBBY_CHECK(modules_.requantized(linear, true, &module.requantized));
      tell("weights", ++done, report_.modules.size());
    }
    return {};
  }

  Result<void> run_batches() {
    const std::vector<std::size_t> ends = batch_ends();
    const std::uint64_t blocks = base_.blocks.size();
    const std::uint64_t total = ends.size() * blocks + subject_.sequences.size();
    std::uint64_t done = 0;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      const auto batch = std::span(subject_.sequences).subspan(begin, end - begin);
      std::vector<ModuleKept>* kept = begin == 0 ? &report_.modules : nullptr;
      BOBBY_CHECK(host_.run(batch, kept, [&] { tell("blocks", ++done, total); }));
      BOBBY_CHECK(host_.prepare_heads(kept));
      for (std::size_t first = begin; first < end; first += kCompany) {
        const std::size_t last = std::min(end, first + kCompany);
        BOBBY_CHECK(compare(begin, first, last));
        tell("logits", done += last - first, total);
      }
      host_.drop_heads();
      begin = end;
    }
    return {};
  }

  std::vector<std::size_t> batch_ends() const {
    std::vector<std::size_t> ends;
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < subject_.sequences.size(); ++i) {
      const auto tokens = static_cast<std::int64_t>(subject_.sequences[i].tokens.size());
      if (rows > 0 && rows + tokens > kBatchRows) {
        ends.push_back(i);
        rows = 0;
      }
      rows += tokens;
    }
    ends.push_back(subject_.sequences.size());
    return ends;
  }

  /// Sequences [first, last) of the batch that begins with sequence `batch`, as the runtime has
  /// them, beside what the host made of the batch.
  Result<void> compare(std::size_t batch, std::size_t first, std::size_t last) {
    const auto vocab_size = static_cast<std::size_t>(base_.config.vocab_size);
    const auto company = std::span(subject_.sequences).subspan(first, last - first);
    Pending pending;
    const auto take = [&](std::span<const RuntimePosition> positions,
                          std::span<const float> logits) -> Result<void> {
      for (std::size_t i = 0; i < positions.size(); ++i) {
        const std::size_t sequence = first + positions[i].sequence;
        const std::int64_t position = positions[i].position;
        const Sequence& own = subject_.sequences[sequence];
        pending.rows.push_back(host_.first_row(sequence - batch) + position);
        pending.targets.push_back(own.tokens[static_cast<std::size_t>(position) + 1]);
        pending.places.push_back(first_place_[sequence] +
                                 static_cast<std::size_t>(position - first_position(own)));
        const auto row = logits.subspan(i * vocab_size, vocab_size);
        pending.logits.insert(pending.logits.end(), row.begin(), row.end());
        if (pending.rows.size() == kComparedRows) BOBBY_CHECK(flush(pending));
      }
      return {};
    };
    BOBBY_CHECK(run_as_written(*subject_.runtime, {subject_.attached, subject_.factor},
                               options_.kv_format, company, take));
    return flush(pending);
  }

  /// Rows whose runtime logits are there and are not compared yet.
  struct Pending {
    std::vector<std::int64_t> rows;  ///< of the batch on the host
    std::vector<std::int32_t> targets;
    std::vector<std::size_t> places;
    std::vector<float> logits;
  };

  Result<void> flush(Pending& pending) {
    if (pending.rows.empty()) return {};
    BOBBY_CHECK(host_.head_logits(HostWay::kReference, pending.rows, reference_));
    const ComparedRows rows{.reference = reference_,
                            .vocab_size = base_.config.vocab_size,
                            .targets = pending.targets,
                            .places = pending.places};
    describe_rows(pool_, rows, report_.reference);
    compare_rows(pool_, rows, pending.logits, result(Way::kRuntime));
    constexpr std::array<std::pair<HostWay, Way>, 4> kOnHost = {
        {{HostWay::kFused, Way::kFused},
         {HostWay::kRequantized, Way::kRequantized},
         {HostWay::kBaseRequantized, Way::kBaseRequantized},
         {HostWay::kNoAdapter, Way::kNoAdapter}}};
    for (const auto& [host_way, way] : kOnHost) {
      BOBBY_CHECK(host_.head_logits(host_way, pending.rows, logits_));
      compare_rows(pool_, rows, logits_, result(way));
    }
    pending = {};
    return {};
  }

  std::vector<WayRow>& result(Way way) { return report_.ways[static_cast<std::size_t>(way)].rows; }

  void tell(std::string_view phase, std::uint64_t done, std::uint64_t total) {
    if (options_.progress) options_.progress({phase, done, total});
  }

  const Subject& subject_;
  const Options& options_;
  const NetworkWeights& base_;
  AdaptedModules& modules_;
  Report& report_;
  ThreadPool pool_;
  HostRun host_;
  std::vector<std::size_t> first_place_;  // by sequence, into the report's rows
  std::vector<float> reference_;
  std::vector<float> logits_;
};

std::string format_text(const WeightFormat& format) {
  return std::to_string(format.bits) + "-bit group " + std::to_string(format.group_size);
}

}  // namespace

Result<Report> measure(const Subject& subject, const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  if (subject.host.training() == nullptr)
    return fail({.code = ErrorCode::kUnsupported,
                 .where = std::string(subject.host.name()),
                 .problem = "has no fp32 forward to compare with"});
  BOBBY_TRY(const auto base, NetworkWeights::load(subject.model_folder, subject.host));
  auto modules = AdaptedModules::make(*base, subject, options);
  if (!modules) return fail(std::move(modules).error().in(subject.adapter.folder.string()));
  Report report;
  report.fused_type = dtype_name(options.fused_type);
  report.sequences = static_cast<std::int64_t>(subject.sequences.size());
  if (subject.runtime != nullptr) report.runtime = subject.runtime->backend().description();
  for (const Module& module : base->loaded.modules)
    if ((*modules)->is_adapted(module.path))
      report.requantized_type = format_text((*modules)->requantized_format(module.weight->view()));
  BOBBY_CHECK(Measurement(subject, options, *base, **modules, report).run());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return report;
}

}  // namespace bobby::fidelity
