#pragma once

// The kernels, once, over a vector type V: see vector_portable.h for what V must offer. Included by
// the files that are compiled for one instruction set each, so nothing here or in what it includes
// may be an inline function of the outside world (the linker would keep one copy for all callers,
// perhaps one that this processor cannot run): builtins and templates over V only.

#include <cstdint>

#include "backends/cpu/ops/ops.h"

namespace bobby::cpu {

template <typename V>
struct OpsBody {
  using Reg = typename V::Reg;
  static constexpr std::int64_t kLanes = V::kLanes;
  static_assert(kScratchLanes % kLanes == 0);

  static std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
  static std::int64_t padded(std::int64_t n) {
    return (n + kScratchLanes - 1) / kScratchLanes * kScratchLanes;
  }

  /// Calls f(first, lanes) for every vector of [0, count); the last may have fewer lanes.
  template <typename F>
  static void for_each_vector(std::int64_t count, const F& f) {
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) f(i, kLanes);
    if (i < count) f(i, count - i);
  }

  /// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its series (the first term left out is 5e-9),
  /// times 2^n. ln 2 is taken in two parts, the first short enough that n times it is exact.
  static Reg exp_of(Reg x) {
    constexpr float kLog2e = 1.44269504088896341f;
    constexpr float kLn2High = 0x1.62e4p-1f;
    constexpr float kLn2Low = 1.42860682030941723e-6f;
    // Below, the result is 0; above, infinite. In this order a NaN passes through.
    x = V::min(V::set1(89.0f), V::max(V::set1(-104.0f), x));
    const Reg n = V::round(V::mul(x, V::set1(kLog2e)));
    Reg r = V::fma(n, V::set1(-kLn2High), x);
    r = V::fma(n, V::set1(-kLn2Low), r);
    Reg p = V::set1(1.0f / 5040);
    p = V::fma(p, r, V::set1(1.0f / 720));
    p = V::fma(p, r, V::set1(1.0f / 120));
    p = V::fma(p, r, V::set1(1.0f / 24));
    p = V::fma(p, r, V::set1(1.0f / 6));
    p = V::fma(p, r, V::set1(0.5f));
    // 1 + (r + r^2 * rest): the large terms last, so that only their rounding counts.
    p = V::fma(V::mul(r, r), p, r);
    return V::times_power_of_2(V::add(p, V::set1(1.0f)), n);
  }

  static void exp(const float* x, std::int64_t count, float* out) {
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      V::store_n(out + i, exp_of(V::load_n(x + i, lanes)), lanes);
    });
  }

  static void rms_norm(const float* x, const float* weight, std::int64_t cols, float eps,
                       float* out) {
    Reg sums[4] = {V::set1(0), V::set1(0), V::set1(0), V::set1(0)};
    std::int64_t i = 0;
    for (; i + 4 * kLanes <= cols; i += 4 * kLanes)
      for (int j = 0; j < 4; ++j) {
        const Reg v = V::load(x + i + j * kLanes);
        sums[j] = V::fma(v, v, sums[j]);
      }
    for_each_vector(cols - i, [&](std::int64_t k, std::int64_t lanes) {
      const Reg v = V::load_n(x + i + k, lanes);
      sums[0] = V::fma(v, v, sums[0]);
    });
    const float sum = V::sum(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
    const Reg factor = V::set1(1.0f / __builtin_sqrtf(sum / static_cast<float>(cols) + eps));
    for_each_vector(cols, [&](std::int64_t k, std::int64_t lanes) {
      const Reg v = V::mul(V::load_n(x + k, lanes), factor);
      V::store_n(out + k, V::mul(v, V::load_n(weight + k, lanes)), lanes);
    });
  }

  static void rotate(float* head, const float* cosines, const float* sines, std::int64_t half) {
    for_each_vector(half, [&](std::int64_t i, std::int64_t lanes) {
      const Reg cosine = V::load_n(cosines + i, lanes);
      const Reg sine = V::load_n(sines + i, lanes);
      const Reg first = V::load_n(head + i, lanes);
      const Reg second = V::load_n(head + half + i, lanes);
      V::store_n(head + i, V::sub(V::mul(first, cosine), V::mul(second, sine)), lanes);
      V::store_n(head + half + i, V::add(V::mul(second, cosine), V::mul(first, sine)), lanes);
    });
  }

  static void to_half(const float* x, std::int64_t count, std::uint16_t* out) {
    const Reg largest = V::set1(65504.0f);
    const Reg smallest = V::set1(-65504.0f);
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg v = V::min(largest, V::max(smallest, V::load_n(x + i, lanes)));
      V::store_half_n(out + i, v, lanes);
    });
  }

  static void swiglu(const float* gate, const float* up, std::int64_t count, float* out) {
    const Reg one = V::set1(1.0f);
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      const Reg g = V::load_n(gate + i, lanes);
      const Reg silu = V::div(g, V::add(one, exp_of(V::sub(V::set1(0), g))));
      V::store_n(out + i, V::mul(silu, V::load_n(up + i, lanes)), lanes);
    });
  }

  static void add(float* x, const float* y, std::int64_t count) {
    for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      V::store_n(x + i, V::add(V::load_n(x + i, lanes), V::load_n(y + i, lanes)), lanes);
    });
  }

  // Attention: one pass over the KV blocks with a running maximum. A block is widened to fp32 once
  // for all queries of the tile. Everything a query computes is its own, block by block, so rows
  // that share a tile do not see each other.

  struct Scratch {
    explicit Scratch(const AttendTile& tile)
        : dim(padded(tile.head_dim)),
          tokens(padded(tile.block_tokens)),
          block(tile.scratch),
          q(block + tokens * dim),
          sums(q + tile.rows * tile.group * dim),
          weights(sums + tile.rows * tile.group * dim),
          largest(weights + tile.rows * tile.group * tokens),
          total(largest + tile.rows * tile.group) {}
    std::int64_t dim;     // head_dim, padded; the pad holds zeros
    std::int64_t tokens;  // block_tokens, padded
    float* block;         // [tokens, dim]: keys, then values
    float* q;             // [queries, dim], scaled
    float* sums;          // [queries, dim]: of weight * value
    float* weights;       // [queries, tokens]: scores, then e^(score - largest)
    float* largest;       // [queries]: of the scores so far
    float* total;         // [queries]: of the weights so far
  };

  static void begin_queries(const AttendTile& tile, const Scratch& s) {
    const Reg scale = V::set1(tile.scale);
    for (std::int64_t query = 0; query < tile.rows * tile.group; ++query) {
      const float* from =
          tile.q + query / tile.group * tile.row_stride + query % tile.group * tile.head_dim;
      float* q = s.q + query * s.dim;
      float* sums = s.sums + query * s.dim;
      for (std::int64_t i = 0; i < s.dim; i += kLanes) {
        V::store(q + i, V::set1(0));
        V::store(sums + i, V::set1(0));
      }
      for_each_vector(tile.head_dim, [&](std::int64_t i, std::int64_t lanes) {
        V::store_n(q + i, V::mul(V::load_n(from + i, lanes), scale), lanes);
      });
      s.largest[query] = -__builtin_inff();
      s.total[query] = 0.0f;
    }
  }

  /// `count` rows of a block of keys or values → fp32 in s.block, padded with zeros.
  static void widen_block(const AttendTile& tile, const void* base, std::int64_t block,
                          std::int64_t count, const Scratch& s) {
    const std::int64_t begin = tile.blocks[block] * tile.block_stride;
    for (std::int64_t t = 0; t < count; ++t) {
      const std::int64_t row = begin + t * tile.head_dim;
      float* to = s.block + t * s.dim;
      if (s.dim != tile.head_dim)
        for (std::int64_t i = s.dim - kScratchLanes; i < s.dim; i += kLanes)
          V::store(to + i, V::set1(0));
      for_each_vector(tile.head_dim, [&](std::int64_t i, std::int64_t lanes) {
        const Reg v = tile.half
                          ? V::load_half_n(static_cast<const std::uint16_t*>(base) + row + i, lanes)
                          : V::load_n(static_cast<const float*>(base) + row + i, lanes);
        V::store_n(to + i, v, lanes);
      });
    }
  }

  /// Scores of one query against `count` keys in s.block.
  static void score(const float* q, std::int64_t count, const Scratch& s, float* scores) {
    std::int64_t t = 0;
    for (; t + 4 <= count; t += 4) {  // four chains of fma at a time, each a key's own
      const float* keys = s.block + t * s.dim;
      Reg dots[4] = {V::set1(0), V::set1(0), V::set1(0), V::set1(0)};
      for (std::int64_t i = 0; i < s.dim; i += kLanes) {
        const Reg v = V::load(q + i);
        for (int j = 0; j < 4; ++j) dots[j] = V::fma(v, V::load(keys + j * s.dim + i), dots[j]);
      }
      for (int j = 0; j < 4; ++j) scores[t + j] = V::sum(dots[j]);
    }
    for (; t < count; ++t) {
      Reg dot = V::set1(0);
      for (std::int64_t i = 0; i < s.dim; i += kLanes)
        dot = V::fma(V::load(q + i), V::load(s.block + t * s.dim + i), dot);
      scores[t] = V::sum(dot);
    }
  }

  /// Turns `count` scores into weights; what was summed so far is brought to the new maximum.
  static void weigh(std::int64_t query, std::int64_t count, const Scratch& s) {
    float* weights = s.weights + query * s.tokens;
    for (std::int64_t t = count; t < s.tokens; ++t) weights[t] = -__builtin_inff();
    Reg largest = V::load(weights);
    for (std::int64_t t = kLanes; t < s.tokens; t += kLanes)
      largest = V::max(largest, V::load(weights + t));
    const float block_largest = V::largest(largest);
    if (block_largest > s.largest[query]) {
      const Reg factor = exp_of(V::set1(s.largest[query] - block_largest));
      float* sums = s.sums + query * s.dim;
      for (std::int64_t i = 0; i < s.dim; i += kLanes)
        V::store(sums + i, V::mul(V::load(sums + i), factor));
      s.total[query] *= V::first(factor);
      s.largest[query] = block_largest;
    }
    const Reg maximum = V::set1(s.largest[query]);
    Reg total = V::set1(0);
    for (std::int64_t t = 0; t < s.tokens; t += kLanes) {
      const Reg weight = exp_of(V::sub(V::load(weights + t), maximum));
      V::store(weights + t, weight);
      total = V::add(total, weight);
    }
    s.total[query] += V::sum(total);
  }

  /// sums += weights * values, `Width` vectors of the head at a time.
  template <int Width>
  static void accumulate(const float* weights, std::int64_t count, const float* values,
                         std::int64_t dim, float* sums) {
    Reg regs[Width];
    for (int j = 0; j < Width; ++j) regs[j] = V::load(sums + j * kLanes);
    for (std::int64_t t = 0; t < count; ++t) {
      const Reg weight = V::set1(weights[t]);
      for (int j = 0; j < Width; ++j)
        regs[j] = V::fma(weight, V::load(values + t * dim + j * kLanes), regs[j]);
    }
    for (int j = 0; j < Width; ++j) V::store(sums + j * kLanes, regs[j]);
  }

  static void accumulate_head(std::int64_t query, std::int64_t count, const Scratch& s) {
    const float* weights = s.weights + query * s.tokens;
    float* sums = s.sums + query * s.dim;
    std::int64_t i = 0;
    for (; i + 8 * kLanes <= s.dim; i += 8 * kLanes)
      accumulate<8>(weights, count, s.block + i, s.dim, sums + i);
    for (; i < s.dim; i += kLanes) accumulate<1>(weights, count, s.block + i, s.dim, sums + i);
  }

  static void attend(const AttendTile& tile) {
    const Scratch s(tile);
    const std::int64_t queries = tile.rows * tile.group;
    const std::int64_t longest = tile.length + tile.rows - 1;
    begin_queries(tile, s);
    for (std::int64_t first = 0; first < longest; first += tile.block_tokens) {
      const std::int64_t block = first / tile.block_tokens;
      const std::int64_t held = smaller(tile.block_tokens, longest - first);
      const auto visible = [&](std::int64_t query) {
        return smaller(tile.block_tokens, tile.length + query / tile.group - first);
      };
      widen_block(tile, tile.keys, block, held, s);
      for (std::int64_t query = 0; query < queries; ++query) {
        const std::int64_t count = visible(query);
        if (count <= 0) continue;
        score(s.q + query * s.dim, count, s, s.weights + query * s.tokens);
        weigh(query, count, s);
      }
      widen_block(tile, tile.values, block, held, s);
      for (std::int64_t query = 0; query < queries; ++query)
        if (const std::int64_t count = visible(query); count > 0) accumulate_head(query, count, s);
    }
    for (std::int64_t query = 0; query < queries; ++query) {
      float* out =
          tile.out + query / tile.group * tile.row_stride + query % tile.group * tile.head_dim;
      const Reg total = V::set1(s.total[query]);
      for_each_vector(tile.head_dim, [&](std::int64_t i, std::int64_t lanes) {
        V::store_n(out + i, V::div(V::load(s.sums + query * s.dim + i), total), lanes);
      });
    }
  }

  static constexpr CpuOps table() { return {rms_norm, rotate, to_half, swiglu, add, attend, exp}; }
};

}  // namespace bobby::cpu
