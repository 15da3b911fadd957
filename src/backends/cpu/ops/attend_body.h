#pragma once

// Attention over a vector type V; the rule of ops_body.h holds here.
//
// A chunk of positions is one pass over its KV blocks with a running maximum; chunks are merged in
// order. The query heads of a group take each key and value from one load, and a tile of many
// queries widens a block to fp32 once for all of them. How queries are put together does not
// matter: whatever a query computes, from its dot products on, is its own, in one order.

#include <cstddef>
#include <cstdint>

#include "backends/cpu/ops/ops.h"
#include "backends/cpu/ops/vector_math.h"

namespace bobby::cpu {

template <typename V>
struct AttendBody {
  using Reg = typename V::Reg;
  static constexpr std::int64_t kLanes = V::kLanes;
  static constexpr int kKeys = 4;   // whose dot products end in one sum4()
  static constexpr int kWidth = 4;  // vectors of a value that are summed at once
  static_assert(kScratchLanes % kLanes == 0);

  // The numbers of a cache as vectors. Those of kInt8 are left without their scale, which goes
  // into the scores and the weights.
  struct CellsF32 {
    using Type = float;
    static Reg load_n(const float* from, std::int64_t lanes) { return V::load_n(from, lanes); }
  };
  struct CellsF16 {
    using Type = std::uint16_t;
    static Reg load_n(const std::uint16_t* from, std::int64_t lanes) {
      return V::load_half_n(from, lanes);
    }
  };
  struct CellsInt8 {
    using Type = std::int8_t;
    static Reg load_n(const std::int8_t* from, std::int64_t lanes) {
      return V::load_int8_n(from, lanes);
    }
  };

  /// Sums of a tile's queries over some positions; see partial_floats().
  struct Partial {
    Partial(const AttendTile& tile, float* at)
        : sums(at),
          largest(sums + tile.rows * tile.group * padded_to_lanes(tile.head_dim)),
          total(largest + padded_to_lanes(tile.rows * tile.group)) {}
    float* sums;     // [queries, dim]: of weight * value
    float* largest;  // [queries]: of the scores
    float* total;    // [queries]: of the weights
  };

  /// A tile with its scratch.
  struct Work {
    explicit Work(const AttendTile& t)
        : tile(t),
          queries(t.rows * t.group),
          dim(padded_to_lanes(t.head_dim)),
          width((t.head_dim + kLanes - 1) / kLanes * kLanes),
          tokens(padded_to_lanes(t.block_tokens)),
          block(t.scratch),
          q(block + tokens * dim),
          weights(q + queries * dim),
          partials(weights + queries * tokens),
          direct(t.head_dim == width &&
                 (t.format == KvFormat::kF32 || queries <= 2 * V::kQueries)) {}
    const AttendTile& tile;
    std::int64_t queries;
    std::int64_t dim;     // head_dim, padded; the pad holds zeros
    std::int64_t width;   // head_dim in whole vectors
    std::int64_t tokens;  // block_tokens, padded
    float* block;         // [tokens, dim]: keys, then values
    float* q;             // [queries, dim], scaled
    float* weights;       // [queries, tokens]: scores, then e^(score - largest)
    float* partials;      // two of them
    bool direct;          // blocks are read where they lie: widening them would not pay

    /// Positions of the block at `first` that a query sees; not positive when there are none.
    std::int64_t visible(std::int64_t query, std::int64_t first) const {
      const std::int64_t seen = tile.length + query / tile.group - first;
      return seen < tile.block_tokens ? seen : tile.block_tokens;
    }
  };

  /// Calls f.template operator()<Count>(first) for queries [first, first + Count), kQueries of them
  /// as long as there are so many.
  template <typename F>
  static void for_each_queries(std::int64_t queries, const F& f) {
    std::int64_t first = 0;
    for (; first + V::kQueries <= queries; first += V::kQueries)
      f.template operator()<V::kQueries>(first);
    const std::int64_t rest = queries - first;
    if constexpr (V::kQueries > 3)
      if (rest == 3) return f.template operator()<3>(first);
    if constexpr (V::kQueries > 2)
      if (rest == 2) return f.template operator()<2>(first);
    if (rest == 1) f.template operator()<1>(first);
  }

  static void begin_queries(const Work& w) {
    const AttendTile& tile = w.tile;
    const Reg scale = V::set1(tile.scale);
    for (std::int64_t query = 0; query < w.queries; ++query) {
      const float* from =
          tile.q + query / tile.group * tile.row_stride + query % tile.group * tile.head_dim;
      float* q = w.q + query * w.dim;
      for (std::int64_t i = 0; i < w.dim; i += kLanes) V::store(q + i, V::set1(0));
      VectorMath<V>::for_each_vector(tile.head_dim, [&](std::int64_t i, std::int64_t lanes) {
        V::store_n(q + i, V::mul(V::load_n(from + i, lanes), scale), lanes);
      });
    }
  }

  static void begin_partial(const Work& w, const Partial& p) {
    for (std::int64_t i = 0; i < w.queries * w.dim; i += kLanes) V::store(p.sums + i, V::set1(0));
    for (std::int64_t query = 0; query < w.queries; ++query) {
      p.largest[query] = -__builtin_inff();
      p.total[query] = 0.0f;
    }
  }

  /// `count` rows of a block → fp32 in w.block, padded with zeros.
  template <typename Cells>
  static void widen(const Work& w, const typename Cells::Type* from, std::int64_t count) {
    for (std::int64_t t = 0; t < count; ++t, from += w.tile.head_dim) {
      float* to = w.block + t * w.dim;
      if (w.dim != w.tile.head_dim)
        for (std::int64_t i = w.dim - kScratchLanes; i < w.dim; i += kLanes)
          V::store(to + i, V::set1(0));
      VectorMath<V>::for_each_vector(w.tile.head_dim, [&](std::int64_t i, std::int64_t lanes) {
        V::store_n(to + i, Cells::load_n(from + i, lanes), lanes);
      });
    }
  }

  /// Scores of Queries queries against Keys keys.
  template <typename Cells, int Queries, int Keys>
  static void dots(const Work& w, const float* q, const typename Cells::Type* keys,
                   std::int64_t stride, float* scores) {
    Reg sums[Queries][kKeys];
    for (auto& row : sums)
      for (Reg& sum : row) sum = V::set1(0);
    for (std::int64_t i = 0; i < w.width; i += kLanes) {
      Reg key[Keys];
      for (int t = 0; t < Keys; ++t) key[t] = Cells::load_n(keys + t * stride + i, kLanes);
      for (int j = 0; j < Queries; ++j) {
        const Reg v = V::load(q + j * w.dim + i);
        for (int t = 0; t < Keys; ++t) sums[j][t] = V::fma(v, key[t], sums[j][t]);
      }
    }
    for (int j = 0; j < Queries; ++j) {
      if constexpr (Keys == kKeys) {
        V::sum4(sums[j], scores + j * w.tokens);
      } else {
        float four[kKeys];
        V::sum4(sums[j], four);
        for (int t = 0; t < Keys; ++t) scores[j * w.tokens + t] = four[t];
      }
    }
  }

  /// Scores of all queries against `count` keys.
  template <typename Cells>
  static void score(const Work& w, const typename Cells::Type* keys, std::int64_t stride,
                    std::int64_t count) {
    for_each_queries(w.queries, [&]<int Queries>(std::int64_t first) {
      const float* q = w.q + first * w.dim;
      float* scores = w.weights + first * w.tokens;
      std::int64_t t = 0;
      for (; t + kKeys <= count; t += kKeys)
        dots<Cells, Queries, kKeys>(w, q, keys + t * stride, stride, scores + t);
      for (; t < count; ++t) dots<Cells, Queries, 1>(w, q, keys + t * stride, stride, scores + t);
    });
  }

  /// Turns `count` scores into weights; what was summed so far is brought to the new maximum.
  static void weigh(const Work& w, std::int64_t query, std::int64_t count, const Partial& p) {
    float* weights = w.weights + query * w.tokens;
    for (std::int64_t t = count; t < w.tokens; ++t) weights[t] = -__builtin_inff();
    Reg largest = V::load(weights);
    for (std::int64_t t = kLanes; t < w.tokens; t += kLanes)
      largest = V::max(largest, V::load(weights + t));
    const float block_largest = V::largest(largest);
    if (block_largest > p.largest[query]) {
      const Reg factor = VectorMath<V>::exp_of(V::set1(p.largest[query] - block_largest));
      float* sums = p.sums + query * w.dim;
      for (std::int64_t i = 0; i < w.width; i += kLanes)
        V::store(sums + i, V::mul(V::load(sums + i), factor));
      p.total[query] *= V::first(factor);
      p.largest[query] = block_largest;
    }
    const Reg maximum = V::set1(p.largest[query]);
    Reg total = V::set1(0);
    for (std::int64_t t = 0; t < w.tokens; t += kLanes) {
      const Reg weight = VectorMath<V>::exp_of(V::sub(V::load(weights + t), maximum));
      V::store(weights + t, weight);
      total = V::add(total, weight);
    }
    p.total[query] += V::sum(total);
  }

  static void times_scales(float* x, const float* scales, std::int64_t count) {
    VectorMath<V>::for_each_vector(count, [&](std::int64_t i, std::int64_t lanes) {
      V::store_n(x + i, V::mul(V::load_n(x + i, lanes), V::load_n(scales + i, lanes)), lanes);
    });
  }

  /// sums += weights * values over positions [begin, end), Width vectors of Queries queries at a
  /// time.
  template <typename Cells, int Queries, int Width>
  static void accumulate(const Work& w, const float* weights, std::int64_t begin, std::int64_t end,
                         const typename Cells::Type* values, std::int64_t stride, float* sums) {
    Reg regs[Queries][Width];
    for (int j = 0; j < Queries; ++j)
      for (int i = 0; i < Width; ++i) regs[j][i] = V::load(sums + j * w.dim + i * kLanes);
    for (std::int64_t t = begin; t < end; ++t) {
      Reg value[Width];
      for (int i = 0; i < Width; ++i)
        value[i] = Cells::load_n(values + t * stride + i * kLanes, kLanes);
      for (int j = 0; j < Queries; ++j) {
        const Reg weight = V::set1(weights[j * w.tokens + t]);
        for (int i = 0; i < Width; ++i) regs[j][i] = V::fma(weight, value[i], regs[j][i]);
      }
    }
    for (int j = 0; j < Queries; ++j)
      for (int i = 0; i < Width; ++i) V::store(sums + j * w.dim + i * kLanes, regs[j][i]);
  }

  template <typename Cells, int Queries>
  static void accumulate_head(const Work& w, std::int64_t query, std::int64_t begin,
                              std::int64_t end, const typename Cells::Type* values,
                              std::int64_t stride, const Partial& p) {
    const float* weights = w.weights + query * w.tokens;
    float* sums = p.sums + query * w.dim;
    std::int64_t i = 0;
    for (; i + kWidth * kLanes <= w.width; i += kWidth * kLanes)
      accumulate<Cells, Queries, kWidth>(w, weights, begin, end, values + i, stride, sums + i);
    for (; i < w.width; i += kLanes)
      accumulate<Cells, Queries, 1>(w, weights, begin, end, values + i, stride, sums + i);
  }

  /// Adds the values of the block at `first`: together what the queries all see, then what the
  /// later rows see besides.
  template <typename Cells>
  static void add_values(const Work& w, std::int64_t first, const typename Cells::Type* values,
                         std::int64_t stride, const Partial& p) {
    for_each_queries(w.queries, [&]<int Queries>(std::int64_t query) {
      const std::int64_t together = w.visible(query, first) > 0 ? w.visible(query, first) : 0;
      if (together > 0) accumulate_head<Cells, Queries>(w, query, 0, together, values, stride, p);
      for (std::int64_t j = query + 1; j < query + Queries; ++j)
        if (const std::int64_t count = w.visible(j, first); count > together)
          accumulate_head<Cells, 1>(w, j, together, count, values, stride, p);
    });
  }

  /// Calls f.template operator()<Cells>(rows, stride) with a block's keys or values: where they
  /// lie, or widened.
  template <typename Cells, typename F>
  static void with_rows(const Work& w, const std::byte* at, std::int64_t count, const F& f) {
    const auto* rows = reinterpret_cast<const typename Cells::Type*>(at);
    if (w.direct) return f.template operator()<Cells>(rows, w.tile.head_dim);
    widen<Cells>(w, rows, count);
    f.template operator()<CellsF32>(w.block, w.dim);
  }

  template <typename Cells>
  static void add_block(const Work& w, std::int64_t block, std::int64_t held, const Partial& p) {
    const AttendTile& tile = w.tile;
    const std::int64_t first = block * tile.block_tokens;
    const std::int64_t begin = tile.blocks[block] * tile.block_stride;
    const std::int64_t scales = begin + tile.head_block_bytes - tile.block_tokens * 4;
    constexpr bool kScaled = sizeof(typename Cells::Type) == 1;

    with_rows<Cells>(w, tile.keys + begin, held, [&]<typename Rows>(const auto* keys, auto stride) {
      score<Rows>(w, keys, stride, held);
    });
    for (std::int64_t query = 0; query < w.queries; ++query) {
      const std::int64_t count = w.visible(query, first);
      if (count <= 0) continue;
      float* weights = w.weights + query * w.tokens;
      if (kScaled) times_scales(weights, reinterpret_cast<const float*>(tile.keys + scales), count);
      weigh(w, query, count, p);
      if (kScaled)
        times_scales(weights, reinterpret_cast<const float*>(tile.values + scales), count);
    }
    with_rows<Cells>(w, tile.values + begin, held,
                     [&]<typename Rows>(const auto* values, auto stride) {
                       add_values<Rows>(w, first, values, stride, p);
                     });
  }

  /// One chunk. Precondition: begin_queries().
  static void run_chunk(const Work& w, std::int64_t chunk, const Partial& p) {
    const AttendTile& tile = w.tile;
    begin_partial(w, p);
    const std::int64_t longest = tile.length + tile.rows - 1;
    const std::int64_t blocks = (longest + tile.block_tokens - 1) / tile.block_tokens;
    const std::int64_t end = (chunk + 1) * chunk_blocks(tile);
    for (std::int64_t block = chunk * chunk_blocks(tile); block < end && block < blocks; ++block) {
      const std::int64_t left = longest - block * tile.block_tokens;
      const std::int64_t held = left < tile.block_tokens ? left : tile.block_tokens;
      switch (tile.format) {
        case KvFormat::kF32: add_block<CellsF32>(w, block, held, p); break;
        case KvFormat::kF16: add_block<CellsF16>(w, block, held, p); break;
        case KvFormat::kInt8: add_block<CellsInt8>(w, block, held, p); break;
      }
    }
  }

  /// `all` becomes itself and the chunk after it. A query that sees nothing of the chunk stays.
  static void merge(const Work& w, const Partial& all, const Partial& chunk) {
    for (std::int64_t query = 0; query < w.queries; ++query) {
      const float left = all.largest[query];
      const float right = chunk.largest[query];
      if (chunk.total[query] == 0.0f) continue;
      const float most = right > left ? right : left;
      const Reg keep = VectorMath<V>::exp_of(V::set1(left - most));
      const Reg take = VectorMath<V>::exp_of(V::set1(right - most));
      float* sums = all.sums + query * w.dim;
      const float* added = chunk.sums + query * w.dim;
      for (std::int64_t i = 0; i < w.width; i += kLanes)
        V::store(sums + i, V::fma(V::load(added + i), take, V::mul(V::load(sums + i), keep)));
      all.total[query] = all.total[query] * V::first(keep) + chunk.total[query] * V::first(take);
      all.largest[query] = most;
    }
  }

  static void write_out(const Work& w, const Partial& all) {
    const AttendTile& tile = w.tile;
    for (std::int64_t query = 0; query < w.queries; ++query) {
      float* out =
          tile.out + query / tile.group * tile.row_stride + query % tile.group * tile.head_dim;
      const Reg total = V::set1(all.total[query]);
      VectorMath<V>::for_each_vector(tile.head_dim, [&](std::int64_t i, std::int64_t lanes) {
        V::store_n(out + i, V::div(V::load(all.sums + query * w.dim + i), total), lanes);
      });
    }
  }

  static void attend(const AttendTile& tile) {
    const Work w(tile);
    const Partial all(tile, w.partials);
    const Partial next(tile, w.partials + partial_floats(tile));
    begin_queries(w);
    run_chunk(w, 0, all);
    for (std::int64_t chunk = 1; chunk < chunks_of(tile); ++chunk) {
      run_chunk(w, chunk, next);
      merge(w, all, next);
    }
    write_out(w, all);
  }

  static void attend_chunk(const AttendTile& tile, std::int64_t chunk, float* partial) {
    const Work w(tile);
    begin_queries(w);
    run_chunk(w, chunk, Partial(tile, partial));
  }

  static void attend_merge(const AttendTile& tile, float* partials) {
    const Work w(tile);
    const Partial all(tile, partials);
    for (std::int64_t chunk = 1; chunk < chunks_of(tile); ++chunk)
      merge(w, all, Partial(tile, partials + chunk * partial_floats(tile)));
    write_out(w, all);
  }
};

}  // namespace bobby::cpu
