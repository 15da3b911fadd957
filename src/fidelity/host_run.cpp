#include "fidelity/host_run.h"

#include <algorithm>
#include <utility>

#include "tensor/formats/dense.h"

namespace bobby::fidelity {
namespace {

std::int64_t largest_rank(const Adapter& adapter) {
  std::int64_t rank = 1;
  for (const AdapterModule& module : adapter.modules) rank = std::max(rank, module.rank);
  return rank;
}

/// Where the sums of a module are kept; null when they are not wanted or it is not adapted.
ModuleKept* find_kept(std::vector<ModuleKept>* kept, const std::string& path) {
  if (kept == nullptr) return nullptr;
  const auto found = std::ranges::find(*kept, path, &ModuleKept::path);
  return found == kept->end() ? nullptr : &*found;
}

DeltaKept* sums_of(HostWay way, std::vector<ModuleKept>* kept, const std::string& path) {
  ModuleKept* module = find_kept(kept, path);
  if (module == nullptr) return nullptr;
  if (way == HostWay::kFused) return &module->fused;
  return way == HostWay::kRequantized ? &module->requantized : nullptr;
}

/// Every way but the reference and the fused one has the base's own weights where nothing is
/// adapted.
constexpr std::array kOwnWays = {HostWay::kNoAdapter, HostWay::kRequantized,
                                 HostWay::kBaseRequantized};

}  // namespace

HostRun::HostRun(const NetworkWeights& base, AdaptedModules& modules, const Subject& subject,
                 const Options& options)
    : base_(base),
      modules_(modules),
      host_(subject.host),
      ops_(*subject.host.training()),
      options_(options),
      forward_(subject.host, base, largest_rank(subject.adapter), subject.adapter.dora) {}

bool HostRun::is_adapted(std::size_t block) const {
  return std::ranges::any_of(base_.blocks[block].projections, [&](const Linear& linear) {
    return modules_.is_adapted(base_.loaded.modules[static_cast<std::size_t>(linear.slot)].path);
  });
}

/// The reference's embedding, and the fused way's, whose numbers are of the fused type.
Result<void> HostRun::embed(std::span<const Sequence> sequences) {
  sequences_.clear();
  std::vector<std::int32_t> tokens;
  for (const Sequence& sequence : sequences) {
    const auto count = static_cast<std::int64_t>(sequence.tokens.size());
    sequences_.push_back({static_cast<std::int64_t>(tokens.size()), count, 0});
    tokens.insert(tokens.end(), sequence.tokens.begin(), sequence.tokens.end());
  }
  const auto rows = static_cast<std::int64_t>(tokens.size());
  const std::int64_t numbers = rows * base_.config.hidden_size;
  memory_.reset();
  BOBBY_TRY(memory_, host_.allocate(kHostWays * static_cast<std::size_t>(numbers) * sizeof(float)));
  for (std::size_t way = 0; way < kHostWays; ++way)
    x_[way] = {static_cast<float*>(memory_->data()) + static_cast<std::int64_t>(way) * numbers,
               rows, base_.config.hidden_size};
  BOBBY_CHECK(forward_.prepare(sequences_, rows));
  ops_.embed(*base_.embed_tokens.weight, tokens, x(HostWay::kReference));
  std::vector<float> values(static_cast<std::size_t>(numbers));
  std::vector<std::byte> rounded(values.size() * dtype_bytes(options_.fused_type));
  BOBBY_CHECK(ops_.copy_out(x(HostWay::kReference), values));
  narrow(options_.fused_type, values.data(), numbers, rounded.data());
  widen(options_.fused_type, rounded.data(), numbers, values.data());
  return ops_.copy_in(values, x(HostWay::kFused));
}

Result<void> HostRun::make_module(HostWay way, const Linear& linear, const std::string& path,
                                  DeltaKept* kept, MadeWeight& weight, HostPair& pair,
                                  UsedModule& used) {
  const bool adapted = modules_.is_adapted(path);
  used = {.weight = linear.weight};
  if (way == HostWay::kFused) {
    BOBBY_TRY(weight, modules_.fused(linear, kept));
    used.weight = weight.loaded.get();
    return {};
  }
  if (!adapted || way == HostWay::kNoAdapter) return {};
  if (way != HostWay::kReference) {
    BOBBY_TRY(weight, modules_.requantized(linear, way == HostWay::kRequantized, kept));
    used.weight = weight.loaded.get();
  }
  if (way == HostWay::kRequantized) return {};
  BOBBY_TRY(pair, modules_.pair(path, *used.weight));
  used.lora = &pair.lora;
  return {};
}

Result<void> HostRun::make(HostWay way, std::size_t block, std::vector<ModuleKept>* kept,
                           MadeModules& made) {
  for (std::size_t i = 0; i < kBlockProjections; ++i) {
    const Linear& linear = base_.blocks[block].projections[i];
    const std::string& path = base_.loaded.modules[static_cast<std::size_t>(linear.slot)].path;
    BOBBY_CHECK(make_module(way, linear, path, sums_of(way, kept, path), made.weights[i],
                            made.pairs[i], made.used[i]));
  }
  return {};
}

Result<void> HostRun::run_block(std::size_t block, bool own_ways, std::vector<ModuleKept>* kept) {
  const auto run = [&](HostWay way) -> Result<void> {
    MadeModules made;
    BOBBY_CHECK(make(way, block, kept, made));
    forward_.block(block, made.used, x(way));
    return {};
  };
  BOBBY_CHECK(run(HostWay::kReference));
  BOBBY_CHECK(run(HostWay::kFused));
  if (!own_ways) return {};
  for (const HostWay way : kOwnWays) BOBBY_CHECK(run(way));
  return {};
}

Result<void> HostRun::run(std::span<const Sequence> sequences, std::vector<ModuleKept>* kept,
                          const std::function<void()>& on_block) {
  BOBBY_CHECK(embed(sequences));
  bool own_ways = false;
  const auto part = [&] {
    for (const HostWay way : kOwnWays) ops_.copy(x(HostWay::kReference), x(way));
    own_ways = true;
  };
  for (std::size_t block = 0; block < base_.blocks.size(); ++block) {
    if (!own_ways && is_adapted(block)) part();
    BOBBY_CHECK(run_block(block, own_ways, kept));
    on_block();
  }
  if (!own_ways) part();
  return {};
}

Result<void> HostRun::prepare_heads(std::vector<ModuleKept>* kept) {
  const std::string path = "lm_head";
  for (std::size_t i = 0; i < kHostWays; ++i) {
    const auto way = static_cast<HostWay>(i);
    Head& head = heads_[i];
    BOBBY_CHECK(make_module(way, base_.lm_head, path, sums_of(way, kept, path), head.weight,
                            head.pair, head.used));
  }
  return {};
}

void HostRun::drop_heads() {
  heads_ = {};
}

Result<void> HostRun::head_logits(HostWay way, std::span<const std::int64_t> rows,
                                  std::vector<float>& host) {
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::int64_t hidden_size = base_.config.hidden_size;
  const std::int64_t vocab_size = base_.config.vocab_size;
  const std::size_t bytes =
      static_cast<std::size_t>(count * (hidden_size + vocab_size)) * sizeof(float);
  if (!logits_memory_ || logits_memory_->size() < bytes) {
    logits_memory_.reset();
    BOBBY_TRY(logits_memory_, host_.allocate(bytes));
  }
  const Activation logits = {static_cast<float*>(logits_memory_->data()), count, vocab_size};
  const Activation gathered = {logits.data + count * vocab_size, count, hidden_size};
  for (std::int64_t i = 0; i < count; ++i)
    ops_.copy(x(way).slice(rows[static_cast<std::size_t>(i)], 1), gathered.slice(i, 1));
  forward_.head(heads_[static_cast<std::size_t>(way)].used, gathered, logits);
  host.resize(static_cast<std::size_t>(count * vocab_size));
  return ops_.copy_out(logits, host);
}

}  // namespace bobby::fidelity
