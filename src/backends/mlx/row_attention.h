#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "backends/mlx/constants.h"
#include "backends/mlx/kv.h"
#include "backends/mlx/machine.h"
#include "backends/mlx/step_rows.h"

namespace bobby::mlx_backend {

/// Where the kernels find positions and blocks. On the device from one step to the next: decoding
/// moves all rows on by one.
class RowTable {
 public:
  explicit RowTable(const Machine& machine) : machine_(machine) {}

  void follow(const StepRows& rows, std::int64_t block_tokens);
  const mx::array& table() const { return *table_; }    ///< int32 [rows, 1 + blocks]
  const mx::array& offset() const { return *offset_; }  ///< [1 + what positions have gained since]

 private:
  struct Row {
    std::int64_t position;
    std::vector<std::int32_t> blocks;
  };
  /// What the known positions gained, or -1 where it is not so simple.
  std::int64_t gained(const StepRows& rows, std::int64_t block_tokens) const;
  void make(const StepRows& rows);

  const Machine& machine_;
  std::vector<Row> rows_;
  mx::array zero_{0};
  std::optional<mx::array> table_;
  std::optional<mx::array> offset_;
};

/// rope_and_store() and attention() where every row is the last token of a sequence, on CUDA: two
/// kernels of our own. MLX compiles them at first use, for one kind of cache.
class RowAttention {
 public:
  static constexpr int kThreads = 256;  // of attention, as kernels/row_attention.cuh has it

  RowAttention(const Machine& machine, Constants& constants)
      : machine_(machine), constants_(constants) {}

  /// Whether it takes these rows and this cache.
  static bool takes(const StepRows& rows, const KvShape& shape);

  /// q, k and v as they come from their products: [rows, columns] each, or columns of one array.
  struct Input {
    mx::array q;  ///< or q | k | v
    std::optional<mx::array> k = {};
    std::optional<mx::array> v = {};
  };
  struct Norms {
    std::optional<mx::array> q = {};  ///< [head_dim]
    std::optional<mx::array> k = {};
    float eps = 0.0f;
  };
  struct Rotated {
    mx::array q;  ///< [rows, num_attention_heads * head_dim]
    mx::array k;  ///< [rows, num_key_value_heads * head_dim]
  };
  /// Writes to the memory of the cache that stands, in the order in which q is computed.
  Rotated rope_and_store(const Input& input, int q_heads, const Norms& norms,
                         const mx::array& inv_freq, MlxKv& kv, std::int64_t layer,
                         const StepRows& rows);
  /// q: as rotated. [rows, num_attention_heads * head_dim]
  mx::array attend(const mx::array& q, float scale, const MlxKv& kv, std::int64_t layer,
                   const StepRows& rows);

 private:
  struct Kernels {
    mx::fast::CustomKernelFunction rope_store;
    mx::fast::CustomKernelFunction attend;
  };
  const Kernels& kernels(const KvShape& shape);

  const Machine& machine_;
  Constants& constants_;
  RowTable table_{machine_};
  using Key = std::tuple<std::int64_t, std::int64_t, KvFormat>;
  std::map<Key, Kernels> kernels_;
};

}  // namespace bobby::mlx_backend
