#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "backends/backend.h"
#include "backends/mlx/machine.h"
#include "backends/mlx/pending.h"

namespace bobby::mlx_backend {

/// What activations hold. The seam names them by addresses; MLX's arrays have none before they are
/// computed, so an address stands for the array that was last written there.
class ActivationTable {
 public:
  explicit ActivationTable(const Machine& machine) : machine_(machine) {}

  /// [rows, cols] in fp32; zeros where nothing was written.
  mx::array read(Activation from) const {
    return read(from, {size_of(from.rows), size_of(from.cols)});
  }
  /// The same numbers in another shape, such as they may have been written in: every reshape is
  /// work for the host.
  mx::array read(Activation from, const mx::Shape& shape) const;
  /// From now on `to` is `values`, which has as many elements. Rows of an activation that is as
  /// wide change it; what stands there otherwise is gone, as a whole.
  void write(Activation to, mx::array values);
  /// From now on `to` is what this gives, if somebody reads it.
  void write(Activation to, Pending pending);
  /// What `from` would be, of the type that is asked for; null where it is something else.
  template <typename Kind>
  const Kind* pending(Activation from) const {
    const auto found = entries_.find(from.data);
    if (found == entries_.end() || found->second.count != from.rows * from.cols ||
        !found->second.pending)
      return nullptr;
    return std::get_if<Kind>(&*found->second.pending);
  }
  /// What this step computes and nothing overwrote.
  std::vector<mx::array> written() const;
  /// Buffers keep their address for a memory's life only.
  void forget(const void* memory, std::size_t bytes);
  /// A new step lays its activations out anew: what an older one wrote gives way.
  void begin_step() { ++step_; }

 private:
  struct Entry {
    mutable std::optional<mx::array> values;  ///< nothing: only pending, so far
    std::int64_t count;                       ///< elements
    std::int64_t cols;
    std::uint64_t step;
    std::optional<Pending> pending = {};
  };
  using Entries = std::map<const float*, Entry>;

  /// The entry that holds all of [begin, begin + count), or end().
  Entries::const_iterator holder(const float* begin, std::int64_t count) const;
  const mx::array& values_of(const Entry& entry) const;
  void put(Activation to, Entry entry);

  const Machine& machine_;
  Entries entries_;
  std::uint64_t step_ = 0;
};

}  // namespace bobby::mlx_backend
