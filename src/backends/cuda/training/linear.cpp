// out = multiplier * (x W^T + scale * (dropped(x) A^T) B) + bias, with W and bias frozen. `low` is
// scale * dropped(x) A^T, so that B's gradient is low^T out_gradient.
//
// Backward, with g = multiplier * out_gradient and low_gradient = scale * g B^T:
//   multiplier's: sum over rows of out_gradient * unscaled;  B's: low^T g
//   A's: low_gradient^T dropped(x);  x's: g W + dropped(low_gradient A)

#include "backends/cuda/training/linear.h"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include "backends/cuda/training/low_rank.h"
#include "backends/cuda/training/product.h"
#include "backends/cuda/training/rounding.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {
namespace {

using Use = TrainingMachine::Use;

static_assert(2 * kMostOutputs <= kMostTerms && 2 * kMostOutputs <= kMostSplitJobs &&
              kMostOutputs <= kMostPairs);

Result<void> check_count(std::span<const TrainingProjection> projections) {
  if (projections.size() <= kMostOutputs) return {};
  return fail({.code = ErrorCode::kUnsupported,
               .where = "training on CUDA",
               .problem = "too many projections share an x",
               .expected = fmt::format("at most {}", kMostOutputs),
               .found = fmt::format("{}", projections.size())});
}

bool drops(const TrainingLora& lora) {
  return lora.dropout.rate > 0.0f;
}

int rank_of(const TrainingLora& lora) {
  return static_cast<int>(lora.a.rows);
}

/// x dropped as a pair drops it; x itself without dropout. One at a time.
Result<const float*> dropped(TrainingMachine& machine, Activation x, const TrainingLora& lora,
                             const SequenceTable& table) {
  if (!drops(lora)) return x.data;
  BOBBY_TRY(float* kept,
            machine.scratch<float>(Use::kDropped, static_cast<std::size_t>(x.rows * x.cols)));
  drop(x.data, dropout_draw(lora.dropout.rate, lora.dropout.key), kept, static_cast<int>(x.cols),
       table, machine.stream());
  return kept;
}

/// Jobs of the projections, all at once, or one after the other where each has its own x.
template <typename Job, typename Run>
class Jobs {
 public:
  explicit Jobs(Run run) : run_(std::move(run)) {}
  void add(const Job& job, bool at_once) {
    jobs_.push_back(job);
    if (at_once) flush();
  }
  void flush() {
    run_(std::span<const Job>(jobs_));
    jobs_.clear();
  }

 private:
  Run run_;
  std::vector<Job> jobs_;
};

template <typename Job, typename Run>
Jobs<Job, Run> jobs_for(Run run) {
  return Jobs<Job, Run>(std::move(run));
}

/// Scratch for both factors of every pair in blocks, handed out one after the other.
class SplitMemory {
 public:
  /// `outs`: whether the right factors are B, or A.
  static Result<SplitMemory> make(TrainingMachine& machine,
                                  std::span<const TrainingProjection> projections,
                                  std::int64_t rows, bool outs) {
    std::size_t bytes = 0;
    for (const TrainingProjection& projection : projections)
      if (const TrainingLora* lora = projection.lora)
        bytes += block_bytes(row_blocks_of(rows) + blocks_of((outs ? lora->b : lora->a).cols),
                             split_blocks(lora->a.rows));
    SplitMemory memory;
    BOBBY_TRY(memory.next_, machine.scratch<unsigned char>(Use::kSplit, bytes));
    return memory;
  }
  Blocks take(int row_blocks, int col_blocks) {
    const Blocks taken{next_, row_blocks, col_blocks};
    next_ += block_bytes(row_blocks, col_blocks);
    return taken;
  }

 private:
  unsigned char* next_ = nullptr;
};

std::size_t part_numbers(std::span<const TrainingProjection> projections, std::int64_t in_features,
                         const SequenceTable& table) {
  std::int64_t numbers = 0;
  for (const TrainingProjection& projection : projections)
    if (const TrainingLora* lora = projection.lora)
      numbers += lora->a.rows * std::max(in_features, lora->b.cols);
  return static_cast<std::size_t>(numbers * table.chunk_count);
}

/// `low` of every pair.
Result<void> make_low(TrainingMachine& machine, Activation x,
                      std::span<const TrainingProjection> projections, const SequenceTable& table) {
  auto jobs = jobs_for<NarrowJob>([&](std::span<const NarrowJob> some) {
    narrow_products(some, static_cast<int>(x.rows), machine.stream());
  });
  for (const TrainingProjection& projection : projections) {
    if (!projection.lora) continue;
    const TrainingLora& lora = *projection.lora;
    if (drops(lora)) jobs.flush();
    BOBBY_TRY(const float* kept, dropped(machine, x, lora, table));
    jobs.add({.x = kept,
              .b = lora.a.data,
              .out = projection.low.data,
              .cols = static_cast<int>(x.cols),
              .rank = rank_of(lora),
              .scale = lora.scale},
             drops(lora));
  }
  jobs.flush();
  return {};
}

/// The pairs' gradients; low_gradients [rows, rank], one pair after the other.
Result<void> pairs_backward(TrainingMachine& machine, Activation x,
                            std::span<const TrainingProjection> projections,
                            const SequenceTable& table, float* low_gradients) {
  BOBBY_TRY(float* const parts,
            machine.scratch<float>(Use::kParts, part_numbers(projections, x.cols, table)));
  float* next = parts;
  const auto take = [&](std::int64_t numbers) {
    return std::exchange(next, next + numbers * table.chunk_count);
  };
  auto gradients = jobs_for<GradientJob>([&](std::span<const GradientJob> some) {
    add_gradients(some, table, machine.stream());
    next = parts;
  });
  std::vector<NarrowJob> narrow;
  float* low = low_gradients;
  for (const TrainingProjection& projection : projections) {
    if (!projection.lora) continue;
    const TrainingLora& lora = *projection.lora;
    const auto outs = static_cast<int>(lora.b.cols);
    if (lora.multiplier.data) {
      gradients.flush();
      multiplier_backward(projection.out_gradient.data, projection.unscaled.data,
                          lora.multiplier.data, lora.multiplier_gradient.data, parts, outs, table,
                          machine.stream());
    }
    gradients.add({.low = projection.low.data,
                   .x = projection.out_gradient.data,
                   .sum = lora.b_gradient.data,
                   .parts = take(lora.a.rows * outs),
                   .cols = outs,
                   .rank = rank_of(lora)},
                  false);
    narrow.push_back({.x = projection.out_gradient.data,
                      .b = lora.b.data,
                      .out = low,
                      .cols = outs,
                      .rank = rank_of(lora),
                      .scale = lora.scale});
    low += x.rows * lora.a.rows;
  }
  gradients.flush();
  narrow_products(narrow, static_cast<int>(x.rows), machine.stream());
  low = low_gradients;
  for (const TrainingProjection& projection : projections) {
    if (!projection.lora) continue;
    const TrainingLora& lora = *projection.lora;
    if (drops(lora)) gradients.flush();
    BOBBY_TRY(const float* kept, dropped(machine, x, lora, table));
    gradients.add({.low = low,
                   .x = kept,
                   .sum = lora.a_gradient.data,
                   .parts = take(lora.a.rows * x.cols),
                   .cols = static_cast<int>(x.cols),
                   .rank = rank_of(lora)},
                  drops(lora));
    low += x.rows * lora.a.rows;
  }
  gradients.flush();
  return {};
}

}  // namespace

Result<void> training_linear(TrainingMachine& machine, Activation x,
                             std::span<const TrainingProjection> projections,
                             std::span<const TrainingSequence> sequences) {
  BOBBY_CHECK(check_count(projections));
  BOBBY_TRY(const SequenceTable table, machine.table(sequences));
  BOBBY_CHECK(make_low(machine, x, projections, table));
  BOBBY_TRY(const Blocks left, machine.round(x, Use::kX));
  BOBBY_TRY(SplitMemory memory, SplitMemory::make(machine, projections, x.rows, true));

  ProductArgs args;
  args.rows = static_cast<int>(x.rows);
  std::vector<SplitJob> splits;
  for (std::size_t i = 0; i < projections.size(); ++i) {
    const TrainingProjection& projection = projections[i];
    BOBBY_TRY(const Blocks weight, machine.weight(*projection.weight, use_of(Use::kWeight, i)));
    ProductOutput& output =
        args.add_output(projection.out.data, static_cast<int>(projection.out.cols));
    output.bias = vector_of(projection.bias);
    args.add_term(left.data, weight.data, left.col_blocks);
    if (!projection.lora) continue;
    const TrainingLora& lora = *projection.lora;
    output.multiplier = lora.multiplier.data;
    output.unscaled = projection.unscaled.data;
    const int depth = split_blocks(lora.a.rows);
    const Blocks low = memory.take(left.row_blocks, depth);
    const Blocks up = memory.take(weight.row_blocks, depth);
    splits.push_back({SplitJob::Kind::kRows, projection.low.data, rank_of(lora), args.rows, low});
    splits.push_back({SplitJob::Kind::kColumns, lora.b.data, rank_of(lora), output.cols, up});
    args.add_term(low.data, up.data, depth);
  }
  split_to_blocks(splits, machine.stream());
  product(args, machine.stream());
  return {};
}

Result<void> training_linear_backward(TrainingMachine& machine, Activation x,
                                      std::span<const TrainingProjection> projections,
                                      std::span<const TrainingSequence> sequences,
                                      Activation x_gradient) {
  BOBBY_CHECK(check_count(projections));
  BOBBY_TRY(const SequenceTable table, machine.table(sequences));
  std::int64_t ranks = 0;
  for (const TrainingProjection& projection : projections)
    if (projection.lora) ranks += projection.lora->a.rows;
  BOBBY_TRY(float* const low_gradients,
            machine.scratch<float>(Use::kLow, static_cast<std::size_t>(x.rows * ranks)));
  if (ranks > 0) BOBBY_CHECK(pairs_backward(machine, x, projections, table, low_gradients));
  if (!x_gradient.data) return {};

  BOBBY_TRY(SplitMemory memory, SplitMemory::make(machine, projections, x.rows, false));
  ProductArgs args;
  args.rows = static_cast<int>(x.rows);
  args.depth_rows = true;
  args.add_output(x_gradient.data, static_cast<int>(x_gradient.cols));
  std::vector<SplitJob> splits;
  const float* low = low_gradients;
  for (std::size_t i = 0; i < projections.size(); ++i) {
    const TrainingProjection& projection = projections[i];
    BOBBY_TRY(const Blocks left, machine.round(projection.out_gradient, use_of(Use::kX, i)));
    BOBBY_TRY(const Blocks weight, machine.weight(*projection.weight, use_of(Use::kWeight, i)));
    args.add_term(left.data, weight.data, left.col_blocks);
    if (!projection.lora) continue;
    const TrainingLora& lora = *projection.lora;
    if (!drops(lora)) {
      const int depth = split_blocks(lora.a.rows);
      const Blocks left_low = memory.take(left.row_blocks, depth);
      const Blocks down = memory.take(depth, blocks_of(x.cols));
      splits.push_back({SplitJob::Kind::kRows, low, rank_of(lora), args.rows, left_low});
      splits.push_back(
          {SplitJob::Kind::kDepth, lora.a.data, rank_of(lora), static_cast<int>(x.cols), down});
      args.add_term(left_low.data, down.data, depth);
    }
    low += x.rows * lora.a.rows;
  }
  split_to_blocks(splits, machine.stream());
  product(args, machine.stream());

  low = low_gradients;
  for (const TrainingProjection& projection : projections) {
    if (!projection.lora) continue;
    const TrainingLora& lora = *projection.lora;
    if (drops(lora))
      add_dropped(low, lora.a.data, rank_of(lora),
                  dropout_draw(lora.dropout.rate, lora.dropout.key), x_gradient.data,
                  static_cast<int>(x.cols), table, machine.stream());
    low += x.rows * lora.a.rows;
  }
  return {};
}

Result<void> training_row_norms(TrainingMachine& machine, const Weight& weight,
                                const TrainingLora* lora, Activation norms) {
  return machine.for_rows(weight, [&](const float* numbers, int first, int count) -> Result<void> {
    row_norms({.w = numbers,
               .a = lora ? lora->a.data : nullptr,
               .b = lora ? lora->b.data : nullptr,
               .norms = norms.data,
               .rank = lora ? rank_of(*lora) : 0,
               .outs = count,
               .all_outs = static_cast<int>(weight.rows()),
               .first = first,
               .cols = static_cast<int>(weight.cols()),
               .scale = lora ? lora->scale : 0.0f},
              machine.stream());
    return {};
  });
}

}  // namespace bobby::cuda
