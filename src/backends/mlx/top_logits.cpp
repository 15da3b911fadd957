#include "backends/mlx/top_logits.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bobby::mlx_backend {
namespace {

constexpr int kChunk = 128;       // logits
constexpr float kDepth = 8.0f;    // exp(-8): what is below has 1/3000 of the likeliest's weight
constexpr int kMostChunks = 512;  // of a row; more, and the row is copied whole

/// [rows, chunks, kChunk], what is missing being minus infinity.
mx::array chunked(const mx::array& logits, const Machine& machine) {
  const int rows = logits.shape(0);
  const int left = logits.shape(1) % kChunk;
  const mx::array whole = left == 0 ? logits
                                    : mx::pad(logits, std::vector<int>{1}, {0}, {kChunk - left},
                                              mx::array(-std::numeric_limits<float>::infinity()),
                                              "constant", machine.stream);
  return mx::reshape(whole, {rows, whole.shape(1) / kChunk, kChunk}, machine.stream);
}

}  // namespace

std::span<const TopLogits> TopLogitsEngine::run(const mx::array& logits) {
  const mx::Stream& s = machine_.stream;
  const mx::array chunks = chunked(logits, machine_);
  const int count = chunks.shape(1);
  mx::array answer =
      mx::concatenate({mx::max(chunks, 2, false, s), mx::logsumexp(logits, 1, true, s),
                       mx::min(logits, 1, true, s)},
                      1, s);
  mx::eval(answer);
  const auto rows = static_cast<std::size_t>(logits.shape(0));
  rows_.resize(rows);
  tops_.assign(rows, {});
  for (std::size_t row = 0; row < rows; ++row) {
    const std::span<const float> own(
        answer.data<float>() + row * static_cast<std::size_t>(count + 2),
        static_cast<std::size_t>(count) + 2);
    const auto maxima = own.first(static_cast<std::size_t>(count));
    TopLogits& top = tops_[row];
    top.largest = *std::ranges::max_element(maxima);
    top.sum_exp = std::exp(static_cast<double>(own[maxima.size()]) - top.largest);
    top.finite = std::isfinite(own[maxima.size()]) && std::isfinite(own.back());
    top.floor = top.largest - kDepth;
    if (!top.finite) continue;
    list(chunks, maxima, static_cast<int>(row), top.floor, rows_[row]);
    top.tokens = rows_[row].tokens;
    top.logits = rows_[row].logits;
  }
  return tops_;
}

void TopLogitsEngine::list(const mx::array& chunks, std::span<const float> maxima, int row,
                           float floor, Row& to) {
  to.tokens.clear();
  to.logits.clear();
  std::vector<std::int32_t> wanted;
  for (std::size_t chunk = 0; chunk < maxima.size(); ++chunk)
    if (maxima[chunk] >= floor) wanted.push_back(static_cast<std::int32_t>(chunk));
  if (wanted.size() > kMostChunks) return;
  const mx::Stream& s = machine_.stream;
  const mx::array own = mx::reshape(
      mx::slice(chunks, mx::Shape{row, 0, 0}, mx::Shape{row + 1, chunks.shape(1), kChunk}, s),
      {chunks.shape(1), kChunk}, s);
  // One stretch from the first to the last would be most of the row: each by itself, then.
  std::vector<mx::array> parts;
  for (const std::int32_t chunk : wanted)
    parts.push_back(mx::slice(own, mx::Shape{chunk, 0}, mx::Shape{chunk + 1, kChunk}, s));
  mx::array found =
      parts.size() == 1 ? mx::contiguous(parts.front(), false, s) : mx::concatenate(parts, 0, s);
  mx::eval(found);
  const auto* values = found.data<float>();
  for (std::size_t i = 0; i < wanted.size() * kChunk; ++i) {
    if (values[i] < floor) continue;
    to.tokens.push_back(wanted[i / kChunk] * kChunk + static_cast<std::int32_t>(i % kChunk));
    to.logits.push_back(values[i]);
  }
}

}  // namespace bobby::mlx_backend
