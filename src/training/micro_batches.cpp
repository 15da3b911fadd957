#include "training/micro_batches.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace bobby {
namespace {

// Which file a place is of, and where in it.
struct Found {
  const Dataset* dataset;
  std::size_t index;
};

Found find(const TrainingData& data, std::int64_t place) {
  if (place >= data.test_begin())
    return {&data.test, static_cast<std::size_t>(place - data.test_begin())};
  if (place >= data.validation_begin())
    return {&data.validation, static_cast<std::size_t>(place - data.validation_begin())};
  return {&data.training, static_cast<std::size_t>(place)};
}

const TrainingExample& example_at(const TrainingData& data, std::int64_t place) {
  const Found found = find(data, place);
  return found.dataset->examples[found.index];
}

void append(TrainingRows& rows, const ExampleRows& example, std::int64_t place, float weight) {
  rows.sequences.push_back({static_cast<std::int64_t>(rows.inputs.size()),
                            static_cast<std::int64_t>(example.inputs.size()), place});
  rows.inputs.insert(rows.inputs.end(), example.inputs.begin(), example.inputs.end());
  rows.targets.insert(rows.targets.end(), example.targets.begin(), example.targets.end());
  for (const bool trained : example.trained) rows.weights.push_back(trained ? weight : 0.0f);
}

}  // namespace

std::string record_name(const TrainingData& data, std::int64_t place) {
  return fmt::format("{}:{}", find(data, place).dataset->file.string(),
                     example_at(data, place).record);
}

Result<BatchLoss> MicroBatches::run(std::span<const std::int64_t> places, const Run& run) {
  std::vector<std::int64_t> lengths;
  for (const std::int64_t place : places) lengths.push_back(example_at(*data_, place).length());
  const std::int64_t padded =
      options_.compat_mlx ? mlx_padded_length(lengths, options_.max_seq_length) : 0;
  std::vector<ExampleRows> examples;
  std::vector<std::int64_t> counts;
  BatchLoss total;
  for (const std::int64_t place : places) {
    examples.push_back(example_rows(example_at(*data_, place), padded));
    counts.push_back(static_cast<std::int64_t>(examples.back().inputs.size()));
    total.tokens += examples.back().trained_rows;
  }
  // mlx-lm's loss is the mean over the batch; ours is divided when the whole step is known.
  const float weight = options_.compat_mlx ? 1.0f / static_cast<float>(total.tokens) : 1.0f;
  for (const auto& pack : plan_packs(counts, options_.pack_tokens)) {
    TrainingRows rows;
    for (const std::int64_t at : pack)
      append(rows, examples[static_cast<std::size_t>(at)], places[static_cast<std::size_t>(at)],
             weight);
    BOBBY_TRY(const RowsLoss losses, run(rows));
    for (std::size_t i = 0; i < losses.sequence_loss.size(); ++i) {
      total.sum += losses.sequence_loss[i];
      if (!std::isfinite(losses.sequence_loss[i]))
        total.not_finite.push_back(rows.sequences[i].record);
    }
  }
  if (options_.compat_mlx) total.sum *= static_cast<double>(total.tokens);
  return total;
}

Result<BatchLoss> MicroBatches::gradients(std::span<const std::int64_t> places,
                                          std::uint64_t step) {
  return run(places, [&](const TrainingRows& rows) { return network_->gradients(rows, step); });
}

Result<BatchLoss> MicroBatches::loss(std::span<const std::int64_t> places) {
  return run(places, [&](const TrainingRows& rows) { return network_->loss(rows); });
}

}  // namespace bobby
