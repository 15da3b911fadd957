#include "training/batches.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <numeric>
#include <utility>

#include "base/random.h"
#include "training/numpy_random.h"

namespace bobby {
namespace {

Error other_dataset(std::string found, std::int64_t batches) {
  return {.code = ErrorCode::kMismatch,
          .where = "saved position in the data",
          .problem = "is not of this dataset and batch size",
          .expected = fmt::format("a pass of {} batches", batches),
          .found = std::move(found)};
}

std::vector<Batch> cut(std::span<const std::int64_t> examples, std::int64_t batch_size,
                       bool keep_tail) {
  std::vector<Batch> batches;
  const auto size = static_cast<std::size_t>(batch_size);
  for (std::size_t begin = 0; begin < examples.size(); begin += size) {
    const std::size_t count = std::min(size, examples.size() - begin);
    if (count < size && !keep_tail) break;
    const auto part = examples.subspan(begin, count);
    batches.emplace_back(part.begin(), part.end());
  }
  return batches;
}

std::size_t at_most(std::int64_t limit, std::size_t count) {
  return limit < 0 ? count : std::min(static_cast<std::size_t>(limit), count);
}

std::vector<std::int64_t> numbered(std::size_t count) {
  std::vector<std::int64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  return numbers;
}

/// Uniform in [0, count) for draw `draw` of pass `pass`: a product's high word, drawn again where
/// the low one would favour some values.
std::uint32_t draw_below(std::uint64_t seed, std::uint32_t pass, std::uint32_t draw,
                         std::uint32_t count) {
  for (std::uint32_t attempt = 0;; ++attempt) {
    const auto words =
        philox4x32({draw, pass, attempt, 0x0BA7C4E5u},
                   {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    const std::uint64_t product = std::uint64_t{words[0]} * count;
    if (static_cast<std::uint32_t>(product) >= (0u - count) % count)
      return static_cast<std::uint32_t>(product >> 32);
  }
}

class ShuffledOrder final : public BatchOrder {
 public:
  ShuffledOrder(const BatchOptions& options, std::size_t training, std::size_t validation)
      : options_(options),
        training_(training),
        validation_(cut(numbered(validation), options.batch_size, /*keep_tail=*/true)) {
    shuffle();
  }

  Batch next_training() override {
    if (batches_.empty()) return {};
    if (next_ == batches_.size()) {
      ++pass_;
      next_ = 0;
      shuffle();
    }
    return batches_[next_++];
  }

  std::vector<Batch> next_validation(std::int64_t val_batches) override {
    return {validation_.begin(), validation_.begin() + static_cast<std::ptrdiff_t>(at_most(
                                                           val_batches, validation_.size()))};
  }

  std::int64_t batches_a_pass() const override {
    return static_cast<std::int64_t>(batches_.size());
  }

  BatchPosition position() const override {
    return {.epoch = pass_, .next = static_cast<std::int64_t>(next_), .order = {}, .random = {}};
  }

  Result<void> restore(const BatchPosition& position) override {
    const bool fits = position.epoch >= 0 && position.next >= 0 &&
                      position.next <= batches_a_pass() && position.random.empty();
    if (!fits) return fail(other_dataset(fmt::format("batch {}", position.next), batches_a_pass()));
    pass_ = position.epoch;
    next_ = static_cast<std::size_t>(position.next);
    shuffle();
    return {};
  }

 private:
  void shuffle() {
    std::vector<std::int64_t> order = numbered(training_);
    for (std::size_t i = order.size(); i-- > 1;)
      std::swap(
          order[i],
          order[draw_below(options_.seed, static_cast<std::uint32_t>(pass_),
                           static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(i + 1))]);
    batches_ = cut(order, options_.batch_size, /*keep_tail=*/true);
  }

  BatchOptions options_;
  std::size_t training_;
  std::vector<Batch> validation_;
  std::vector<Batch> batches_;
  std::int64_t pass_ = 0;
  std::size_t next_ = 0;
};

/// mlx-lm asks each record for its length before it is tokens, and a record is a mapping: its
/// length is its number of keys.
std::vector<Batch> mlx_batches(std::span<const TrainingExample> examples, std::int64_t batch_size) {
  std::vector<std::int64_t> order = numbered(examples.size());
  std::ranges::stable_sort(
      order, {}, [&](std::int64_t i) { return examples[static_cast<std::size_t>(i)].keys; });
  return cut(order, batch_size, /*keep_tail=*/false);
}

class MlxOrder final : public BatchOrder {
 public:
  MlxOrder(const BatchOptions& options, std::span<const TrainingExample> training,
           std::span<const TrainingExample> validation)
      : training_(mlx_batches(training, options.batch_size)),
        validation_(mlx_batches(validation, options.batch_size)),
        random_(static_cast<std::uint32_t>(options.seed)) {}

  Batch next_training() override {
    if (training_.empty()) return {};
    if (next_ == order_.size()) {
      if (!order_.empty()) ++pass_;
      order_ = random_.permutation(batches_a_pass());
      next_ = 0;
    }
    return training_[static_cast<std::size_t>(order_[next_++])];
  }

  std::vector<Batch> next_validation(std::int64_t val_batches) override {
    std::vector<Batch> batches;
    if (val_batches == 0 || validation_.empty()) return batches;
    const auto order = random_.permutation(static_cast<std::int64_t>(validation_.size()));
    const std::size_t count = at_most(val_batches, order.size());
    for (std::size_t i = 0; i < count; ++i)
      batches.push_back(validation_[static_cast<std::size_t>(order[i])]);
    return batches;
  }

  std::int64_t batches_a_pass() const override {
    return static_cast<std::int64_t>(training_.size());
  }

  BatchPosition position() const override {
    return {.epoch = pass_,
            .next = static_cast<std::int64_t>(next_),
            .order = order_,
            .random = random_.state()};
  }

  Result<void> restore(const BatchPosition& position) override {
    const std::size_t count = position.order.size();
    std::vector<std::int64_t> sorted = position.order;
    std::ranges::sort(sorted);
    const bool permutation = count == 0 || (count == training_.size() && sorted == numbered(count));
    if (!permutation || position.next < 0 || position.next > static_cast<std::int64_t>(count))
      return fail(other_dataset(fmt::format("{} batches", count), batches_a_pass()));
    BOBBY_CHECK(random_.restore(position.random));
    pass_ = position.epoch;
    next_ = static_cast<std::size_t>(position.next);
    order_ = position.order;
    return {};
  }

 private:
  std::vector<Batch> training_;
  std::vector<Batch> validation_;
  NumpyRandom random_;
  std::vector<std::int64_t> order_;
  std::int64_t pass_ = 0;
  std::size_t next_ = 0;
};

Error too_few(std::string_view which, std::size_t count, std::int64_t batch_size) {
  return {.code = ErrorCode::kUsage,
          .where = fmt::format("{} set", which),
          .problem = "has fewer examples than one batch, which mlx-lm refuses",
          .expected = fmt::format("at least batch_size = {}", batch_size),
          .found = fmt::format("{}", count)};
}

}  // namespace

Result<std::unique_ptr<BatchOrder>> BatchOrder::make(const BatchOptions& options,
                                                     std::span<const TrainingExample> training,
                                                     std::span<const TrainingExample> validation) {
  constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();
  if (options.batch_size < 1 || training.empty() || training.size() > kMost)
    return fail({.code = ErrorCode::kUsage,
                 .where = "training set",
                 .problem = training.empty() ? "is empty" : "cannot be cut into batches",
                 .expected = "between 1 and 2^32 - 1 examples in batches of at least 1"});
  if (!options.compat_mlx)
    return std::make_unique<ShuffledOrder>(options, training.size(), validation.size());
  if (options.seed > kMost)
    return fail({.code = ErrorCode::kUsage,
                 .where = "seed",
                 .problem = "is one that numpy, and so mlx-lm, refuses",
                 .expected = "0 to 2^32 - 1",
                 .found = fmt::format("{}", options.seed)});
  const auto least = static_cast<std::size_t>(options.batch_size);
  if (training.size() < least)
    return fail(too_few("training", training.size(), options.batch_size));
  if (!validation.empty() && validation.size() < least)
    return fail(too_few("validation", validation.size(), options.batch_size));
  return std::make_unique<MlxOrder>(options, training, validation);
}

std::int64_t mlx_padded_length(std::span<const std::int64_t> lengths, std::int64_t max_seq_length) {
  const std::int64_t longest = lengths.empty() ? 0 : std::ranges::max(lengths);
  return std::min(1 + 32 * ((longest + 31) / 32), max_seq_length);
}

ExampleRows example_rows(const TrainingExample& example, std::int64_t padded_length) {
  ExampleRows rows;
  const std::int64_t length = example.length();
  const bool pad_target = length > 0 && length < padded_length;
  const std::int64_t count = std::max<std::int64_t>(length - (pad_target ? 0 : 1), 0);
  const std::int64_t loss_begin = std::max<std::int64_t>(example.loss_begin, 1);
  rows.inputs.assign(example.tokens.begin(), example.tokens.begin() + count);
  rows.targets.assign(example.tokens.begin() + (count > 0 ? 1 : 0), example.tokens.end());
  rows.targets.resize(static_cast<std::size_t>(count), 0);
  for (std::int64_t target = 1; target <= count; ++target) {
    rows.trained.push_back(target >= loss_begin);
    rows.trained_rows += target >= loss_begin ? 1 : 0;
  }
  return rows;
}

std::vector<std::vector<std::int64_t>> plan_packs(std::span<const std::int64_t> lengths,
                                                  std::int64_t token_budget) {
  std::vector<std::vector<std::int64_t>> packs;
  std::int64_t used = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (packs.empty() || lengths[i] > token_budget - used) {
      packs.emplace_back();
      used = 0;
    }
    packs.back().push_back(static_cast<std::int64_t>(i));
    used += lengths[i];
  }
  return packs;
}

}  // namespace bobby
