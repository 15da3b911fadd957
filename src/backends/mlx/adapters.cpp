#include "backends/mlx/adapters.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "backends/mlx/weight.h"

namespace bobby::mlx_backend {
namespace {

// Of row compositions; a batch that changes at every step would else gather them for ever.
constexpr std::size_t kKeptRows = 4096;

const MlxLora& pair_of(const LoraRows& rows) {
  return static_cast<const MlxLora&>(*rows.lora);
}

/// Each pair of a projection once, in the order in which they first stand.
std::vector<const MlxLora*> pairs_of(const Projection& projection) {
  std::vector<const MlxLora*> pairs;
  for (const LoraRows& rows : projection.lora)
    if (std::ranges::find(pairs, &pair_of(rows)) == pairs.end()) pairs.push_back(&pair_of(rows));
  return pairs;
}

}  // namespace

MlxLora::MlxLora(const LoraView& view, std::weak_ptr<StackedAdapters> stacked,
                 const Machine& machine)
    : LoraWeight(view),
      id_(new_id()),
      a_(load_floats(view.a, {size_of(view.rank), size_of(view.in_features)}, machine)),
      b_(load_floats(view.b, {size_of(view.out_features), size_of(view.rank)}, machine)),
      stacked_(std::move(stacked)) {
  if (view.output_multiplier)
    multiplier_ = load_floats(view.output_multiplier, {size_of(view.out_features)}, machine);
}

MlxLora::~MlxLora() {
  if (const auto stacked = stacked_.lock()) stacked->forget(id_);
}

std::optional<LowRank> StackedAdapters::make(std::span<const Projection> projections,
                                             std::int64_t rows) {
  Key pairs, key = {static_cast<std::uint64_t>(rows)};
  bool any = false;
  for (const Projection& projection : projections) {
    pairs.push_back(0);  // parts the projections
    key.push_back(0);
    for (const MlxLora* pair : pairs_of(projection)) pairs.push_back(pair->id());
    for (const LoraRows& entry : projection.lora) {
      any = true;
      key.insert(key.end(), {pair_of(entry).id(), static_cast<std::uint64_t>(entry.row_begin),
                             static_cast<std::uint64_t>(entry.row_count),
                             std::bit_cast<std::uint32_t>(entry.scale)});
    }
  }
  if (!any) return std::nullopt;
  auto stacked = pairs_.find(pairs);
  if (stacked == pairs_.end()) stacked = pairs_.emplace(pairs, stack(projections)).first;
  auto factor = rows_.find(key);
  if (factor == rows_.end()) {
    if (rows_.size() >= kKeptRows) rows_.clear();
    factor = rows_.emplace(key, factors(projections, rows)).first;
  }
  return LowRank{.a = stacked->second.a,
                 .b = stacked->second.b,
                 .b_of_each = stacked->second.b_of_each,
                 .factor = factor->second.factor,
                 .scale = factor->second.scale,
                 .scale_there = factor->second.scale_there};
}

StackedAdapters::Pairs StackedAdapters::stack(std::span<const Projection> projections) const {
  std::vector<mx::array> a, b;
  int ranks = 0;
  for (const Projection& projection : projections)
    for (const MlxLora* pair : pairs_of(projection)) ranks += size_of(pair->view().rank);
  int before = 0;
  for (const Projection& projection : projections) {
    const int out = size_of(projection.out.cols);
    std::vector<mx::array> columns = {mx::zeros({out, before}, mx::float32, machine_.stream)};
    for (const MlxLora* pair : pairs_of(projection)) {
      a.push_back(pair->a());
      columns.push_back(pair->b());
      before += size_of(pair->view().rank);
    }
    columns.push_back(mx::zeros({out, ranks - before}, mx::float32, machine_.stream));
    b.push_back(mx::concatenate(columns, 1, machine_.stream));
  }
  const mx::Stream& s = machine_.stream;
  // As products take them: views of rows, which MLX has its quickest kernels for.
  const auto both = [&s](const mx::array& rows) {
    return LowRankFactor{rows, mx::transpose(rows, s)};
  };
  Pairs pairs{.a = both(mx::concatenate(a, 0, s)),
              .b = both(b.size() == 1 ? b.front() : mx::concatenate(b, 0, s)),
              .b_of_each = {}};
  for (const mx::array& own : b) pairs.b_of_each.push_back(both(own));
  std::vector<mx::array> made = {pairs.a.rows, pairs.a.transposed, pairs.b.rows,
                                 pairs.b.transposed};
  for (const LowRankFactor& own : pairs.b_of_each)
    made.insert(made.end(), {own.rows, own.transposed});
  mx::eval(std::move(made));
  return pairs;
}

StackedAdapters::Rows StackedAdapters::factors(std::span<const Projection> projections,
                                               std::int64_t rows) const {
  std::vector<std::pair<int, const LoraRows*>> entries;  // first column, entry
  int ranks = 0;
  bool one_scale = true;  // every pair stands once, in all rows, and all with one scale
  for (const Projection& projection : projections)
    for (const MlxLora* pair : pairs_of(projection)) {
      int times = 0;
      for (const LoraRows& entry : projection.lora) {
        if (&pair_of(entry) != pair) continue;
        entries.emplace_back(ranks, &entry);
        one_scale = one_scale && ++times == 1 && entry.row_begin == 0 && entry.row_count == rows &&
                    entry.scale == entries.front().second->scale;
      }
      ranks += size_of(pair->view().rank);
    }
  const auto there = [this](float scale) { return load_constant(scale, machine_); };
  if (one_scale) {
    const float scale = entries.front().second->scale;
    return {std::nullopt, scale, there(scale)};
  }
  std::vector<float> factor(static_cast<std::size_t>(rows) * static_cast<std::size_t>(ranks), 0.0f);
  for (const auto& [column, entry] : entries)
    for (std::int64_t row = entry->row_begin; row < entry->row_begin + entry->row_count; ++row)
      for (std::int64_t r = 0; r < entry->lora->view().rank; ++r)
        factor[static_cast<std::size_t>(row * ranks + column + r)] += entry->scale;
  return {load_floats(factor.data(), {size_of(rows), ranks}, machine_), 1.0f, there(1.0f)};
}

void StackedAdapters::forget(std::uint64_t id) {
  std::erase_if(pairs_, [id](const auto& known) {
    return std::ranges::find(known.first, id) != known.first.end();
  });
  rows_.clear();
}

}  // namespace bobby::mlx_backend
