#include "backends/cuda/linear.h"

#include <algorithm>
#include <cassert>
#include <optional>

#include "backends/cuda/gated_kernels.h"
#include "backends/cuda/launch.cuh"
#include "backends/cuda/tiled_kernels.h"
#include "backends/cuda/weight.h"

namespace bobby::cuda {
namespace {

constexpr std::int64_t kRowsAtOnce = 512;  // rows of x that the scratch memory holds
constexpr std::int64_t kFewRows = 8;       // up to here, not a warpgroup's work
static_assert(kRowsAtOnce <= TileEngine::kPromptRows);
constexpr std::size_t kAxFloats = std::size_t{1} << 20;

Element element_of(DType dtype) {
  return dtype == DType::kF16    ? Element::kF16
         : dtype == DType::kBF16 ? Element::kBF16
                                 : Element::kF32;
}

/// A launch's description of one format, without matrices.
Matrices format_of(const Weight& weight) {
  const WeightView& view = weight.view();
  const bool affine = view.format.kind == WeightFormat::Kind::kAffine;
  Matrices matrices;
  matrices.cols = static_cast<int>(view.cols);
  matrices.bits = affine ? view.format.bits : 0;
  matrices.chunks_a_group = affine ? view.format.group_size / kChunk : 1;
  matrices.element = element_of(view.format.dtype);
  matrices.tiled = on_device(weight).tiled();
  return matrices;
}

void append(Matrices& matrices, const Projection& projection) {
  Matrix matrix = on_device(*projection.weight).matrix();
  matrix.out = projection.out.data;
  matrix.tiles_before = matrices.tiles;
  matrices.each[matrices.count++] = matrix;
  matrices.tiles += (matrix.rows + kTileRows - 1) / kTileRows;
}

}  // namespace

Result<void> LinearEngine::reserve(std::int64_t cols) {
  if (cols <= cols_) return {};
  if (cols_ == 0) arguments_.put(&cols_, 1);  // so that the first step finds its memory
  planes_of_ = {};
  planes_.reset();
  scales_.reset();
  const auto numbers = static_cast<std::size_t>(kRowsAtOnce * ((cols + kChunk - 1) / kChunk));
  BOBBY_TRY(planes_, DeviceMemory::make(numbers * kChunk * 2));
  BOBBY_TRY(scales_, DeviceMemory::make(numbers * sizeof(float2)));
  BOBBY_CHECK(tiles_.reserve(cols));
  load_norm_kernels();
  load_gated_kernels();
  cols_ = cols;
  return {};
}

void LinearEngine::begin_step(std::span<const SequenceRows> sequences) {
  step_rows_ = 0;
  prompts_.clear();
  for (const SequenceRows& sequence : sequences) {
    step_rows_ = std::max(step_rows_, sequence.row_begin + sequence.row_count);
    if (sequence.row_count <= TileEngine::kBatchRows) continue;
    prompts_.push_back({sequence.row_begin, sequence.row_count, true});
  }
}

/// Which rows from `begin` on are computed together. A prompt's kernel is not that of decode, so
/// what a row gets follows from its own sequence's rows.
LinearEngine::Run LinearEngine::run_at(std::int64_t begin, std::int64_t rows) const {
  std::int64_t end = rows;
  bool prompt = false;
  if (rows == step_rows_)
    for (const Run& one : prompts_) {
      if (one.begin > begin) end = std::min(end, one.begin);
      if (one.begin > begin || begin >= one.begin + one.rows) continue;
      prompt = true;
      end = one.begin + one.rows;
    }
  const std::int64_t most =
      prompt || !tiles_.ready() ? kRowsAtOnce : std::int64_t{TileEngine::kBatchRows};
  return {begin, std::min(end - begin, most), prompt};
}

LinearEngine::Form LinearEngine::form_for(const Matrices& matrices, const Run& run) const {
  if (matrices.bits == 0) return Form::kFloats;
  if (!matrices.tiled) return Form::kPlanes;
  if (!tiles_.ready()) return Form::kTiled;
  return run.prompt ? Form::kHalves : run.rows > kFewRows ? Form::kBytes : Form::kTiled;
}

void LinearEngine::round(const Matrices& format, Form form, float* x, int rows) {
  auto* bytes = static_cast<uint4*>(planes_->data());
  auto* scales = static_cast<float2*>(scales_->data());
  switch (form) {
    case Form::kFloats: return;
    case Form::kPlanes:
      return quantize(x, rows, format.cols, format.chunks_a_group * kChunk, format.bits,
                      {bytes, scales}, stream_);
    case Form::kTiled:
      if (planes_of_.x == x && planes_of_.rows == rows && planes_of_.cols == format.cols &&
          planes_of_.launch == launches())
        return;
      return quantize_tiled(x, rows, format.cols, {bytes, scales}, stream_);
    case Form::kBytes: return tiles_.round_batch(x, rows, format.cols);
    case Form::kHalves: return tiles_.round_prompt(x, {}, rows, format.cols, format.element);
  }
}

void LinearEngine::product(const Matrices& matrices, Form form, const float* x, int rows,
                           const InnerDeltas* deltas) {
  auto* bytes = static_cast<uint4*>(planes_->data());
  auto* scales = static_cast<float2*>(scales_->data());
  switch (form) {
    case Form::kFloats: return dense_product(matrices, x, rows, stream_);
    case Form::kPlanes: return affine_product(matrices, {bytes, scales}, rows, stream_);
    case Form::kTiled: return tiled_product(matrices, {bytes, scales}, rows, stream_);
    case Form::kBytes: return tiles_.batch(matrices, rows, deltas);
    case Form::kHalves: return tiles_.prompt(matrices, rows, deltas);
  }
}

/// For any form of the next product: none where it is not known, or of several.
RowTiles LinearEngine::tiles_for(std::int64_t rows, std::int64_t cols) const {
  RowTiles to;
  if (!last_tiled_ || cols % kTileGroup != 0 || cols > cols_) return to;
  const Run run = run_at(0, rows);
  if (run.rows != rows || rows > kRowsAtOnce) return to;
  if (tiles_.ready() && run.prompt) {
    to.halves = tiles_.half_tiles();
    to.element = tiles_.last_element();
  } else if (tiles_.ready() && rows > kFewRows) {
    to.bytes = tiles_.byte_tiles(static_cast<int>(rows));
  } else {
    to.tiled = {static_cast<uint4*>(planes_->data()), static_cast<float2*>(scales_->data())};
  }
  return to;
}

RowTiles LinearEngine::columns_for(std::int64_t rows, std::int64_t cols) const {
  RowTiles to = tiles_for(rows, cols);
  to.halves = {};
  return to;
}

void LinearEngine::rounded(const RowTiles& tiles, const float* x, std::int64_t rows,
                           std::int64_t cols) {
  if (tiles.halves.halves)
    tiles_.rounded_prompt(x, static_cast<int>(rows), static_cast<int>(cols), tiles.element);
  else if (tiles.bytes.bytes)
    tiles_.rounded_batch(x, static_cast<int>(rows), static_cast<int>(cols));
  else if (tiles.tiled.bytes)
    planes_of_ = {x, rows, cols, launches()};
}

bool LinearEngine::swiglu(Activation gate, Activation up, Activation out) {
  const RowTiles to = tiles_for(out.rows, out.cols);
  const int rows = static_cast<int>(out.rows);
  const int cols = static_cast<int>(out.cols);
  if (to.halves.halves) {
    Gated gated{gate.data, up.data};
    if (deltas_.of.count > 0) {
      gate_deltas(take_deltas(), out.data, stream_);
      gated = {};
    }
    tiles_.round_prompt(out.data, gated, rows, cols, to.element);
    return true;
  }
  if (!to.bytes.bytes && !to.tiled.bytes) return false;
  gate_rows(
      {.gate = gate.data, .up = up.data, .out = out.data, .rows = rows, .cols = cols, .tiles = to},
      take_deltas(), stream_);
  rounded(to, out.data, rows, cols);
  return true;
}

bool LinearEngine::add_norm(float* x, const float* y, const float* weight, float eps,
                            Activation out) {
  if (!has_add_norm(out.cols)) return false;
  const RowTiles to = tiles_for(out.rows, out.cols);
  if (to.halves.halves) finish_deltas();
  cuda::add_norm({.x = x,
                  .y = y,
                  .weight = weight,
                  .eps = eps,
                  .out = out.data,
                  .rows = static_cast<int>(out.rows),
                  .cols = static_cast<int>(out.cols),
                  .tiles = to},
                 take_deltas(), stream_);
  rounded(to, out.data, out.rows, out.cols);
  return true;
}

void LinearEngine::finish_deltas() {
  if (deltas_.of.count == 0) return;
  finish(take_deltas(), stream_);
}

Result<void> LinearEngine::reserve_ax(std::span<const Projection> projections) {
  std::int64_t floats = 0;
  for (const Projection& projection : projections)
    for (const LoraRows& rows : projection.lora)  // in fours, however the rows are cut
      floats += rows.row_count * static_cast<const CudaLora&>(*rows.lora).view().rank +
                4 * (rows.row_count + 1);
  const std::size_t needed = static_cast<std::size_t>(floats) * sizeof(float);
  ax_floats_ = 0;
  if (needed == 0 || (ax_ && ax_->size() >= needed)) return {};
  ax_.reset();
  BOBBY_TRY(ax_, DeviceMemory::make(std::max(needed, kAxFloats * sizeof(float))));
  return {};
}

void LinearEngine::gather(const Projection& projection, const Run& run, std::int64_t first,
                          int matrix, std::vector<LoraEntry>& to) {
  for (const LoraRows& rows : projection.lora) {
    LoraRows some = rows;
    some.row_begin = std::max(rows.row_begin, run.begin);
    some.row_count =
        std::min(rows.row_begin + rows.row_count, run.begin + run.rows) - some.row_begin;
    if (some.row_count <= 0) continue;
    some.row_begin -= first;
    LoraEntry entry = static_cast<const CudaLora&>(*rows.lora).entry(some);
    entry.matrix = matrix;
    entry.ax_begin = static_cast<int>(ax_floats_);
    entry.prompt = run.prompt;
    // In fours, as rows of z are read.
    ax_floats_ += (static_cast<std::int64_t>(entry.row_count) * entry.rank + 3) / 4 * 4;
    to.push_back(entry);
  }
}

Result<const InnerDeltas*> LinearEngine::inner(std::span<const Projection> projections,
                                               const Run& run, const float* x) {
  entries_.clear();
  inner_ = {};
  inner_.x = x;
  inner_.ax = ax_ ? static_cast<float*>(ax_->data()) : nullptr;
  for (std::size_t i = 0; i < projections.size(); ++i) {
    const std::size_t first = entries_.size();
    gather(projections[i], run, run.begin, static_cast<int>(i), entries_);
    inner_.first[i + 1] = static_cast<int>(entries_.size());
    for (std::size_t e = first; e < entries_.size(); ++e) {
      inner_.most_rank = std::max(inner_.most_rank, entries_[e].rank);
      inner_.all_ranks += entries_[e].rank;
      inner_.most_rows = std::max(inner_.most_rows, entries_[e].row_count);
      inner_.multiplied |= e > first && entries_[e].multiplier != nullptr;
    }
  }
  if (entries_.empty()) return nullptr;
  BOBBY_TRY(inner_.entries, tables_.find(entries_));
  return &inner_;
}

Result<void> LinearEngine::base(Activation x, std::span<const Projection> projections) {
  // Biases are added later, and deltas after them.
  const bool biased = std::any_of(projections.begin(), projections.end(),
                                  [](const Projection& one) { return one.bias != nullptr; });
  Run run;
  for (std::int64_t begin = 0; begin < x.rows; begin += run.rows) {
    run = run_at(begin, x.rows);
    const int rows = static_cast<int>(run.rows);
    float* from = x.data + begin * x.cols;
    std::optional<Matrices> rounded;  // the format that the scratch memory is right for
    for (std::size_t i = 0; i < projections.size();) {
      const std::size_t first_one = i;
      const CudaWeight& first = on_device(*projections[i].weight);
      Matrices matrices = format_of(first);
      for (; i < projections.size() && matrices.count < kMatrices &&
             projections[i].weight->view().format == first.view().format &&
             on_device(*projections[i].weight).tiled() == first.tiled();
           ++i) {
        assert(projections[i].weight->cols() == x.cols && projections[i].out.rows == x.rows);
        append(matrices, projections[i]);
        matrices.each[matrices.count - 1].out += begin * projections[i].out.cols;
      }
      const Form form = form_for(matrices, run);
      last_tiled_ = matrices.tiled;
      const bool same = rounded && rounded->bits == matrices.bits &&
                        rounded->chunks_a_group == matrices.chunks_a_group &&
                        rounded->tiled == matrices.tiled && rounded->element == matrices.element;
      if (form != Form::kFloats && !same) {
        round(matrices, form, from, rows);
        rounded = matrices;
      }
      const InnerDeltas* deltas = nullptr;
      if (!biased && (form == Form::kBytes || form == Form::kHalves)) {
        BOBBY_TRY(deltas, inner(projections.subspan(first_one, i - first_one), run, from));
        // Before the product, which begins when z is there.
        if (deltas && form == Form::kHalves) tiles_.prompt_dots(*deltas, rows, matrices.cols);
      } else {
        for (std::size_t p = first_one; p < i; ++p)
          gather(projections[p], run, 0, static_cast<int>(p), left_);
      }
      product(matrices, form, from, rows, deltas);
    }
  }
  return {};
}

Result<void> LinearEngine::finish_later(Activation x, std::span<const Projection> projections) {
  Finish last;
  bool any = !left_.empty();
  for (const Projection& projection : projections) {
    last.bias[last.count] = vector_of(projection.bias);
    last.out[last.count] = projection.out.data;
    last.rows[last.count] = static_cast<int>(projection.out.cols);
    any = any || projection.bias != nullptr;
    ++last.count;
  }
  if (!any) return {};
  // A product's deltas are added matrix by matrix, each row's in their order.
  std::stable_sort(left_.begin(), left_.end(),
                   [](const LoraEntry& a, const LoraEntry& b) { return a.matrix < b.matrix; });
  int max_rank = 0, max_rows = 0, max_prompt_rank = 0, max_prompt_rows = 0;
  for (const LoraEntry& entry : left_) {
    int& most = entry.prompt ? max_prompt_rows : max_rows;
    most = std::max(most, entry.row_count);
    int& most_ranks = entry.prompt ? max_prompt_rank : max_rank;
    most_ranks = std::max(most_ranks, entry.rank);
  }
  BOBBY_TRY(const LoraEntries entries, tables_.find(left_));
  float* ax = ax_ ? static_cast<float*>(ax_->data()) : nullptr;
  if (max_rows > 0) lora_a(entries, max_rank, max_rows, x.data, ax, stream_);
  if (max_prompt_rows > 0)
    lora_a_prompts(entries, max_prompt_rank, max_prompt_rows, x.cols % 4 != 0, x.data, ax, stream_);
  deltas_ = {.of = last, .entries = entries, .ax = ax, .rows = static_cast<int>(x.rows)};
  return {};
}

Result<void> LinearEngine::linear(Activation x, std::span<const Projection> projections) {
  while (!projections.empty()) {
    const auto some = projections.first(std::min<std::size_t>(projections.size(), kMatrices));
    finish_deltas();  // of the projections before
    left_.clear();
    BOBBY_CHECK(reserve_ax(some));
    BOBBY_CHECK(base(x, some));
    BOBBY_CHECK(finish_later(x, some));
    projections = projections.subspan(some.size());
  }
  return {};
}

Result<void> LinearEngine::embed(const Weight& table, std::span<const std::int32_t> tokens,
                                 std::span<const LoraRows> lora, Activation out) {
  assert(out.rows == static_cast<std::int64_t>(tokens.size()) && out.cols == table.cols());
  entries_.clear();
  for (const LoraRows& rows : lora)
    if (rows.row_count > 0)
      entries_.push_back(static_cast<const CudaLora&>(*rows.lora).entry(rows));
  BOBBY_TRY(const LoraEntries entries, tables_.find(entries_));
  const std::int32_t* ids = arguments_.put(tokens);
  if (!ids) return fail({.code = ErrorCode::kLimit, .problem = "no memory for a step's tokens"});
  cuda::embed(on_device(table).matrix(), format_of(table), ids, static_cast<int>(tokens.size()),
              entries, out.data, stream_);
  return {};
}

}  // namespace bobby::cuda
