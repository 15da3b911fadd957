#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/temporary_file.h"

namespace bobby::data {

/// Which texts say the same. Texts are numbered from 0 in the order in which they were added.
struct DuplicateGroups {
  /// For each text the first that is equal to it: its own number when it is the first.
  std::vector<std::uint32_t> same;
  /// For each text the first of its group: those that are equal or nearly so to it, or to one of
  /// the group. Equal texts have the same.
  std::vector<std::uint32_t> near;
};

/// Finds equal and nearly equal texts among millions: candidates by hash (MinHash for the near
/// ones), then by comparison. About 30 bytes of memory a text; 72 more on disk.
class DuplicateFinder {
 public:
  /// Gives a text again, to compare it.
  using TextOf = std::function<Result<std::string>(std::size_t)>;

  /// Texts whose shingles() are similar by `near` (0 to 1) or more are nearly equal; 0: none but
  /// equal ones are looked for. Below 0.6 many are missed. A file without a name is made in
  /// `folder`.
  static Result<DuplicateFinder> create(const std::filesystem::path& folder, double near);

  /// kIo, kLimit past 2^32 texts.
  Result<void> add(std::string_view text);
  std::size_t size() const { return count_; }

  /// Call once, after all were added. kIo.
  Result<DuplicateGroups> groups(const TextOf& text_of, const ProgressFn& progress);

 private:
  DuplicateFinder(TemporaryFile rows, double near) : rows_(std::move(rows)), near_(near) {}

  struct Candidate {
    std::uint64_t hash = 0;
    std::uint32_t text = 0;
    auto operator<=>(const Candidate&) const = default;
  };
  Result<std::vector<Candidate>> column(std::size_t column);
  Result<void> join_equal(const TextOf& text_of, DuplicateGroups& groups);
  Result<void> join_near(std::size_t band, const TextOf& text_of, DuplicateGroups& groups);

  TemporaryFile rows_;
  double near_;
  std::size_t count_ = 0;
};

}  // namespace bobby::data
