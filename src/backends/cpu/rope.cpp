#include "backends/cpu/rope.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

#include "backends/cpu/weight.h"

namespace bobby::cpu {
namespace {

constexpr std::int64_t kAngleRows = 16;  // about 30 us of sines and cosines

}  // namespace

void RopeEngine::place_rows(const RopeStore& args) {
  const std::int64_t block_tokens = args.kv->shape().block_tokens;
  places_.clear();
  for (const SequenceRows& sequence : args.sequences)
    for (std::int64_t i = 0; i < sequence.row_count; ++i) {
      const std::int64_t position = sequence.position + i;
      const auto block = static_cast<std::size_t>(position / block_tokens);
      assert(block < sequence.blocks.size());
      places_.push_back({.row = sequence.row_begin + i,
                         .position = position,
                         .block = sequence.blocks[block],
                         .slot = position % block_tokens});
    }
}

void RopeEngine::compute_angles(std::span<const float> inv_freq) {
  const bool known = std::ranges::equal(inv_freq, inv_freq_) &&
                     std::ranges::equal(places_, positions_, {}, &RowPlace::position);
  if (known) return;
  inv_freq_.assign(inv_freq.begin(), inv_freq.end());
  positions_.clear();
  for (const RowPlace& place : places_) positions_.push_back(place.position);
  const std::size_t half = inv_freq.size();
  angles_.resize(positions_.size() * 2 * half);
  pool_.parallel_for(static_cast<std::int64_t>(positions_.size()), kAngleRows,
                     [&](std::int64_t begin, std::int64_t end, int) {
                       for (auto row = static_cast<std::size_t>(begin);
                            row < static_cast<std::size_t>(end); ++row)
                         for (std::size_t i = 0; i < half; ++i) {
                           // The product in fp32, as the oracle has it; its cosine and sine in
                           // fp64.
                           const double angle = static_cast<float>(positions_[row]) * inv_freq_[i];
                           angles_[row * 2 * half + i] = static_cast<float>(std::cos(angle));
                           angles_[row * 2 * half + half + i] = static_cast<float>(std::sin(angle));
                         }
                     });
}

void RopeEngine::run_row(const RopeStore& args, const RowPlace& place, std::size_t index) const {
  auto& kv = static_cast<PagedKv&>(*args.kv);
  const std::int64_t head_dim = kv.shape().head_dim;
  const std::int64_t half = head_dim / 2;
  const float* cosines = angles_.data() + index * static_cast<std::size_t>(head_dim);
  const auto prepare = [&](Activation x, const Weight* norm) {
    float* row = x.data + place.row * x.cols;
    for (std::int64_t begin = 0; begin < x.cols; begin += head_dim) {
      float* head = row + begin;
      if (norm) ops_.rms_norm(head, vector_of(*norm).data(), head_dim, args.rms_norm_eps, head);
      ops_.rotate(head, cosines, cosines + half, half);
    }
  };
  prepare(args.q, args.q_norm);
  prepare(args.k, args.k_norm);
  kv.store(ops_, args.layer, PagedKv::kKeys, place.block, place.slot,
           args.k.data + place.row * args.k.cols);
  kv.store(ops_, args.layer, PagedKv::kValues, place.block, place.slot,
           args.v.data + place.row * args.v.cols);
}

void RopeEngine::rope_and_store(const RopeStore& args) {
  [[maybe_unused]] const KvShape& shape = args.kv->shape();
  assert(shape.head_dim % 2 == 0 && args.inv_freq->cols() == shape.head_dim / 2);
  assert(args.q.cols % shape.head_dim == 0);
  assert(args.k.cols == shape.num_key_value_heads * shape.head_dim && args.v.cols == args.k.cols);
  place_rows(args);
  compute_angles(vector_of(*args.inv_freq));
  pool_.parallel_for(static_cast<std::int64_t>(places_.size()), 1,
                     [&](std::int64_t begin, std::int64_t end, int) {
                       for (std::int64_t i = begin; i < end; ++i) {
                         const auto index = static_cast<std::size_t>(i);
                         run_row(args, places_[index], index);
                       }
                     });
}

}  // namespace bobby::cpu
