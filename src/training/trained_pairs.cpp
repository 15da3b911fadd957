#include "training/trained_pairs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <span>
#include <utility>

#include "base/nearest_name.h"
#include "base/random.h"
#include "training/host_blocks.h"

namespace bobby {

namespace {

std::string block_path(std::size_t block) {
  return "model.layers." + std::to_string(block);
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Error usage(std::string where, std::string problem, std::string expected, std::string found) {
  return {.code = ErrorCode::kUsage,
          .where = std::move(where),
          .problem = std::move(problem),
          .expected = std::move(expected),
          .found = std::move(found)};
}

/// A key is a path within a block, or a whole path.
bool names_projection(std::string_view key, std::size_t blocks) {
  if (std::ranges::find(kBlockProjectionNames, key) != kBlockProjectionNames.end()) return true;
  for (std::size_t block = 0; block < blocks; ++block)
    for (const std::string_view name : kBlockProjectionNames)
      if (key == block_path(block) + "." + std::string(name)) return true;
  return false;
}

Result<void> check(const LoraSettings& settings, std::size_t blocks) {
  std::vector<Error> problems;
  if (settings.rank < 1)
    problems.push_back(usage("rank", "is not positive", {}, std::to_string(settings.rank)));
  if (!std::isfinite(settings.scale))
    problems.push_back(usage("scale", "is not finite", {}, std::to_string(settings.scale)));
  if (!(settings.dropout >= 0.0f && settings.dropout < 1.0f))
    problems.push_back(
        usage("dropout", "is out of range", "0 to less than 1", std::to_string(settings.dropout)));
  if (settings.num_layers > static_cast<std::int64_t>(blocks))
    problems.push_back(usage("num_layers", "is more than the model has",
                             "at most " + std::to_string(blocks),
                             std::to_string(settings.num_layers)));
  for (const std::string& key : settings.keys) {
    if (names_projection(key, blocks)) continue;
    const bool known = key == "lm_head" || key == "model.embed_tokens";
    problems.push_back(
        {.code = known ? ErrorCode::kUnsupported : ErrorCode::kUsage,
         .where = "keys",
         .problem = known ? "the embedding and the head are not trained"
                          : "no module of a block has this name",
         .found = "'" + key + "'",
         .hint = "the nearest is '" + std::string(nearest_name(key, kBlockProjectionNames)) + "'"});
  }
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  return {};
}

void transpose(const float* from, std::int64_t rows, std::int64_t cols, float* to) {
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t col = 0; col < cols; ++col) to[col * rows + row] = from[row * cols + col];
}

std::size_t size_of(const Activation& x) {
  return static_cast<std::size_t>(x.rows * x.cols);
}

TrainableTensor tensor(std::string name, std::int64_t rows, std::int64_t cols) {
  const auto size = static_cast<std::size_t>(rows * cols);
  return {.name = std::move(name),
          .rows = rows,
          .cols = cols,
          .value = std::vector<float>(size),
          .gradient = std::vector<float>(size)};
}

}  // namespace

Result<std::unique_ptr<TrainedPairs>> TrainedPairs::make(const NetworkWeights& weights,
                                                         const LoraSettings& settings,
                                                         Backend& backend, TrainingOps& ops) {
  BOBBY_CHECK(check(settings, weights.blocks.size()));
  std::unique_ptr<TrainedPairs> pairs(new TrainedPairs(backend, ops));
  pairs->dora_ = settings.dora;
  pairs->choose(weights, settings);
  BOBBY_CHECK(pairs->allocate(settings));
  BOBBY_CHECK(pairs->upload());
  return pairs;
}

/// mlx-lm's linear_to_lora_layers().
void TrainedPairs::choose(const NetworkWeights& weights, const LoraSettings& settings) {
  const std::size_t blocks = weights.blocks.size();
  const std::size_t lowest =
      settings.num_layers <= 0 ? 0 : blocks - static_cast<std::size_t>(settings.num_layers);
  by_place_.assign(blocks * kBlockProjections, -1);
  first_block_ = blocks;
  for (std::size_t block = 0; block < blocks; ++block)
    for (std::size_t i = 0; i < kBlockProjections; ++i) {
      const std::string path = block_path(block) + "." + std::string(kBlockProjectionNames[i]);
      const bool wanted =
          settings.keys.empty() || contains(settings.keys, kBlockProjectionNames[i]);
      if (!(block >= lowest && wanted) && !contains(settings.keys, path)) continue;
      by_place_[block * kBlockProjections + i] = static_cast<std::int64_t>(modules_.size());
      modules_.push_back({.path = path, .weight = weights.blocks[block].projections[i].weight});
      first_block_ = std::min(first_block_, block);
    }
}

Result<void> TrainedPairs::allocate(const LoraSettings& settings) {
  for (Module& module : modules_) {
    const std::int64_t in = module.weight->cols();
    const std::int64_t out = module.weight->rows();
    module.tensor = tensors_.size();
    tensors_.push_back(tensor(module.path + ".lora_a", in, settings.rank));
    tensors_.push_back(tensor(module.path + ".lora_b", settings.rank, out));
    if (dora_) tensors_.push_back(tensor(module.path + ".m", 1, out));
    module.lora.scale = settings.scale;
  }
  // Each number has a value and a gradient; norms are two more for each magnitude.
  std::size_t numbers = 0;
  for (const TrainableTensor& one : tensors_) numbers += (one.rows == 1 ? 3 : 2) * one.value.size();
  BOBBY_TRY(memory_, backend_.allocate(std::max<std::size_t>(numbers, 1) * sizeof(float)));
  lay_out(settings.rank);
  if (!dora_) return {};
  for (Module& module : modules_) {  // magnitudes start as the norms of the frozen rows
    ops_.row_norms(*module.weight, nullptr, module.norms);
    BOBBY_CHECK(ops_.copy_out(module.norms, tensors_[module.tensor + 2].value));
  }
  return {};
}

void TrainedPairs::lay_out(std::int64_t rank) {
  float* next = static_cast<float*>(memory_->data());
  const auto take = [&](std::int64_t rows, std::int64_t cols) {
    const Activation taken = {next, rows, cols};
    next += rows * cols;
    return taken;
  };
  const auto stretch_from = [&](float* begin) { return Activation{begin, 1, next - begin}; };
  float* begin = next;
  for (Module& module : modules_) {
    module.lora.a = take(rank, module.weight->cols());
    module.lora.b = take(rank, module.weight->rows());
  }
  values_ = stretch_from(begin);
  if (dora_) {
    begin = next;
    for (Module& module : modules_) module.lora.multiplier = take(1, module.weight->rows());
    multipliers_ = stretch_from(begin);
    begin = next;
    for (Module& module : modules_) module.norms = take(1, module.weight->rows());
    norms_ = stretch_from(begin);
  }
  begin = next;
  for (Module& module : modules_) {
    module.lora.a_gradient = take(rank, module.weight->cols());
    module.lora.b_gradient = take(rank, module.weight->rows());
  }
  if (dora_)
    for (Module& module : modules_)
      module.lora.multiplier_gradient = take(1, module.weight->rows());
  gradients_ = stretch_from(begin);
}

TrainingLora* TrainedPairs::find(std::size_t block, BlockProjection projection) {
  const auto place = block * kBlockProjections + static_cast<std::size_t>(projection);
  const std::int64_t index = by_place_[place];
  return index < 0 ? nullptr : &modules_[static_cast<std::size_t>(index)].lora;
}

const TrainingLora* TrainedPairs::find(std::size_t block, BlockProjection projection) const {
  return const_cast<TrainedPairs*>(this)->find(block, projection);
}

bool TrainedPairs::any(std::size_t block,
                       std::initializer_list<BlockProjection> projections) const {
  return std::ranges::any_of(projections, [&](BlockProjection one) { return find(block, one); });
}

Result<void> TrainedPairs::upload() {
  staging_.resize(size_of(values_));
  for_host_blocks(static_cast<std::int64_t>(modules_.size()), 1, [&](auto first, auto end, int) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(end); ++i) {
      const TrainingLora& lora = modules_[i].lora;
      const TrainableTensor& a = tensors_[modules_[i].tensor];
      const TrainableTensor& b = tensors_[modules_[i].tensor + 1];
      transpose(a.value.data(), a.rows, a.cols, staging_.data() + (lora.a.data - values_.data));
      std::ranges::copy(b.value, staging_.data() + (lora.b.data - values_.data));
    }
  });
  BOBBY_CHECK(ops_.copy_in(staging_, values_));
  return dora_ ? upload_magnitudes() : Result<void>();
}

/// multiplier = magnitude / norm of the adapted weight's rows.
Result<void> TrainedPairs::upload_magnitudes() {
  for (const Module& module : modules_) ops_.row_norms(*module.weight, &module.lora, module.norms);
  staged_norms_.resize(size_of(norms_));
  BOBBY_CHECK(ops_.copy_out(norms_, staged_norms_));
  staging_.resize(staged_norms_.size());
  for (const Module& module : modules_) {
    const std::vector<float>& magnitudes = tensors_[module.tensor + 2].value;
    const auto first = static_cast<std::size_t>(module.norms.data - norms_.data);
    for (std::size_t i = 0; i < magnitudes.size(); ++i) {
      const float norm = staged_norms_[first + i];
      staging_[first + i] = magnitudes[i] / norm;
      if (std::isfinite(norm) && norm > 0.0f) continue;
      return fail({.code = ErrorCode::kNumeric,
                   .where = module.path,
                   .problem = "row " + std::to_string(i) + " of the adapted weight has the norm " +
                              std::to_string(norm) + ", which DoRA divides by"});
    }
  }
  return ops_.copy_in(staging_, multipliers_);
}

void TrainedPairs::zero_gradients() {
  if (gradients_.cols > 0) ops_.zero(gradients_);
}

Result<void> TrainedPairs::download_gradients() {
  staging_.resize(size_of(gradients_));
  BOBBY_CHECK(ops_.copy_out(gradients_, staging_));
  for_host_blocks(static_cast<std::int64_t>(modules_.size()), 1, [&](auto first, auto end, int) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(end); ++i)
      take_gradients(modules_[i]);
  });
  return {};
}

/// Of one module, out of what was copied.
void TrainedPairs::take_gradients(const Module& module) {
  const auto staged = [&](const Activation& gradient) {
    return std::span<const float>(staging_).subspan(
        static_cast<std::size_t>(gradient.data - gradients_.data), size_of(gradient));
  };
  TrainableTensor& a = tensors_[module.tensor];
  transpose(staged(module.lora.a_gradient).data(), a.cols, a.rows, a.gradient.data());
  std::ranges::copy(staged(module.lora.b_gradient), tensors_[module.tensor + 1].gradient.begin());
  if (!dora_) return;
  const std::span<const float> of_multiplier = staged(module.lora.multiplier_gradient);
  std::vector<float>& magnitude = tensors_[module.tensor + 2].gradient;
  const float* norms = staged_norms_.data() + (module.norms.data - norms_.data);
  for (std::size_t i = 0; i < magnitude.size(); ++i) magnitude[i] = of_multiplier[i] / norms[i];
}

void TrainedPairs::set_dropout(float rate, std::uint64_t seed, std::uint64_t step) {
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    const auto words =
        philox4x32({static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32),
                    static_cast<std::uint32_t>(i), 0},
                   {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    modules_[i].lora.dropout = {.rate = rate, .key = std::uint64_t{words[1]} << 32 | words[0]};
  }
}

std::size_t TrainedPairs::bytes() const {
  std::size_t numbers = 0;
  for (const TrainableTensor& one : tensors_) numbers += one.value.size() + one.gradient.size();
  return numbers * sizeof(float) + memory_->size();
}

}  // namespace bobby
