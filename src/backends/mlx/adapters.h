#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backends/backend.h"
#include "backends/mlx/machine.h"

namespace bobby::mlx_backend {

class StackedAdapters;

/// A low-rank pair's arrays.
class MlxLora : public LoraWeight {
 public:
  MlxLora(const LoraView& view, std::weak_ptr<StackedAdapters> stacked, const Machine& machine);
  ~MlxLora() override;

  const mx::array& a() const { return a_; }  ///< [rank, in_features]
  const mx::array& b() const { return b_; }  ///< [out_features, rank]
  const std::optional<mx::array>& multiplier() const { return multiplier_; }  ///< [out_features]
  std::uint64_t id() const { return id_; }

 private:
  std::uint64_t id_;
  mx::array a_;
  mx::array b_;
  std::optional<mx::array> multiplier_;
  std::weak_ptr<StackedAdapters> stacked_;
};

/// One of the two factors of all pairs of some projections.
struct LowRankFactor {
  mx::array rows;        ///< as it is kept
  mx::array transposed;  ///< the same memory
};

/// What the adapters of all projections of one input add, as two products: z = x A^T with the A of
/// every pair below one another, then z B^T, where B stands in each pair's own rows and columns.
struct LowRank {
  LowRankFactor a;  ///< rows: [ranks of all pairs, in_features]
  LowRankFactor b;  ///< rows: [out_features of all projections, ranks of all pairs]
  std::span<const LowRankFactor> b_of_each;  ///< b, projection by projection
  std::optional<mx::array> factor;           ///< [rows, ranks]: a pair's scale in its rows, else 0
  float scale = 1.0f;                        ///< where one scale holds for every row and pair
  mx::array scale_there;                     ///< the same on the machine: load_constant()
};

/// Makes LowRanks and keeps them for the next step: the same rows, or the same pairs at least, come
/// again.
class StackedAdapters {
 public:
  explicit StackedAdapters(const Machine& machine) : machine_(machine) {}

  /// For plain LoRA; `rows` of the step, `outs` the projections' widths. Nothing: no pair at all.
  std::optional<LowRank> make(std::span<const Projection> projections, std::int64_t rows);
  /// A pair's memory goes: what was made of it does too.
  void forget(std::uint64_t id);

 private:
  using Key = std::vector<std::uint64_t>;
  struct Pairs {
    LowRankFactor a;
    LowRankFactor b;
    std::vector<LowRankFactor> b_of_each;
  };
  struct Rows {
    std::optional<mx::array> factor;
    float scale;
    mx::array scale_there;
  };

  Pairs stack(std::span<const Projection> projections) const;
  Rows factors(std::span<const Projection> projections, std::int64_t rows) const;

  const Machine& machine_;
  std::map<Key, Pairs> pairs_;
  std::map<Key, Rows> rows_;
};

}  // namespace bobby::mlx_backend
