#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "backends/reference/kv.h"
#include "backends/reference/ops.h"
#include "tensor/formats/affine.h"

namespace bobby::reference {
namespace {

/// Cosine and sine of every pair's angle at one position.
struct Angles {
  std::vector<float> cosines;  // [head_dim / 2]
  std::vector<float> sines;
};

Angles angles_at(std::int64_t position, const Weight& inv_freq) {
  std::vector<float> frequencies(static_cast<std::size_t>(inv_freq.cols()));
  dequantize_row(inv_freq.view(), 0, frequencies.data());
  Angles angles;
  for (const float frequency : frequencies) {
    const double angle = static_cast<float>(position) * frequency;  // the product in fp32
    angles.cosines.push_back(static_cast<float>(std::cos(angle)));
    angles.sines.push_back(static_cast<float>(std::sin(angle)));
  }
  return angles;
}

/// Normalises (where there is a norm) and rotates every head of one row of q or k: the pairs
/// (i, i + head_dim / 2).
void prepare_row(Activation row, std::int64_t head_dim, const Weight* norm, float eps,
                 const Angles& angles) {
  const Activation heads{row.data, row.cols / head_dim, head_dim};
  if (norm) rms_norm(heads, *norm, eps, heads);
  const std::int64_t half = head_dim / 2;
  for (std::int64_t head = 0; head < heads.rows; ++head) {
    float* x = heads.data + head * head_dim;
    for (std::int64_t i = 0; i < half; ++i) {
      const float cosine = angles.cosines[static_cast<std::size_t>(i)];
      const float sine = angles.sines[static_cast<std::size_t>(i)];
      const float first = x[i];
      const float second = x[i + half];
      x[i] = first * cosine - second * sine;
      x[i + half] = second * cosine + first * sine;
    }
  }
}

/// Where a position of a sequence lies.
struct Place {
  std::int32_t block;
  std::int64_t slot;
};

Place place_of(const SequenceRows& sequence, std::int64_t position, const KvShape& shape) {
  const auto index = static_cast<std::size_t>(position / shape.block_tokens);
  assert(index < sequence.blocks.size());
  return {sequence.blocks[index], position % shape.block_tokens};
}

/// softmax(q k^T * scale) v of one head over positions [0, length).
void attend(const Attention& args, const SequenceRows& sequence, std::int64_t length,
            std::int64_t kv_head, const float* q, float* out) {
  const auto& kv = static_cast<const HostKv&>(*args.kv);
  const auto head_dim = static_cast<std::size_t>(kv.shape().head_dim);
  std::vector<float> vector(head_dim);
  std::vector<double> weights(static_cast<std::size_t>(length));
  double largest = -std::numeric_limits<double>::infinity();
  for (std::int64_t position = 0; position < length; ++position) {
    const Place place = place_of(sequence, position, kv.shape());
    kv.load(args.layer, HostKv::kKeys, kv_head, place.block, place.slot, vector.data());
    double score = 0;
    for (std::size_t i = 0; i < head_dim; ++i) score += static_cast<double>(q[i]) * vector[i];
    weights[static_cast<std::size_t>(position)] = score * args.scale;
    largest = std::max(largest, score * args.scale);
  }
  double total = 0;
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  std::vector<double> sums(head_dim, 0.0);
  for (std::int64_t position = 0; position < length; ++position) {
    const Place place = place_of(sequence, position, kv.shape());
    kv.load(args.layer, HostKv::kValues, kv_head, place.block, place.slot, vector.data());
    for (std::size_t i = 0; i < head_dim; ++i)
      sums[i] += weights[static_cast<std::size_t>(position)] * vector[i];
  }
  for (std::size_t i = 0; i < head_dim; ++i) out[i] = static_cast<float>(sums[i] / total);
}

}  // namespace

void rope_and_store(const RopeStore& args) {
  auto& kv = static_cast<HostKv&>(*args.kv);
  const KvShape& shape = kv.shape();
  const std::int64_t head_dim = shape.head_dim;
  assert(args.q.cols % head_dim == 0);
  assert(args.k.cols == shape.num_key_value_heads * head_dim && args.v.cols == args.k.cols);
  assert(args.inv_freq->cols() == head_dim / 2 && head_dim % 2 == 0);
  for (const SequenceRows& sequence : args.sequences) {
    for (std::int64_t i = 0; i < sequence.row_count; ++i) {
      const std::int64_t row = sequence.row_begin + i;
      const std::int64_t position = sequence.position + i;
      const Place place = place_of(sequence, position, shape);
      const Angles angles = angles_at(position, *args.inv_freq);
      prepare_row(args.q.slice(row, 1), head_dim, args.q_norm, args.rms_norm_eps, angles);
      prepare_row(args.k.slice(row, 1), head_dim, args.k_norm, args.rms_norm_eps, angles);
      for (std::int64_t head = 0; head < shape.num_key_value_heads; ++head) {
        const std::int64_t begin = row * args.k.cols + head * head_dim;
        kv.store(args.layer, HostKv::kKeys, head, place.block, place.slot, args.k.data + begin);
        kv.store(args.layer, HostKv::kValues, head, place.block, place.slot, args.v.data + begin);
      }
    }
  }
}

void attention(const Attention& args) {
  const KvShape& shape = args.kv->shape();
  const std::int64_t heads = args.q.cols / shape.head_dim;
  assert(args.q.cols == args.out.cols && args.q.cols % shape.head_dim == 0);
  assert(heads % shape.num_key_value_heads == 0);
  const std::int64_t group = heads / shape.num_key_value_heads;
  for (const SequenceRows& sequence : args.sequences)
    for (std::int64_t i = 0; i < sequence.row_count; ++i)
      for (std::int64_t head = 0; head < heads; ++head) {
        const std::int64_t begin = (sequence.row_begin + i) * args.q.cols + head * shape.head_dim;
        attend(args, sequence, sequence.position + i + 1, head / group, args.q.data + begin,
               args.out.data + begin);
      }
}

}  // namespace bobby::reference
