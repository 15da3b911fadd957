#pragma once

#include <span>

#include "data/inspect/inspect.h"

namespace bobby::inspection {

/// The numbers of one split, and what histograms are made of.
struct Measured {
  SplitReport split;
  std::vector<std::int64_t> characters;
  std::vector<std::int64_t> graphemes;
  std::vector<std::int64_t> tokens;
  std::vector<std::int64_t> refused_lines;  ///< with what `refusal` says of the first
  std::vector<std::int64_t> untrained_lines;
  std::vector<std::int64_t> cut_lines;
  std::vector<std::int64_t> empty_lines;
  std::vector<std::int64_t> ending_lines;
  std::string refusal;
};

Measured measure(const DataFile& file, const InspectOptions& options);

/// The texts that `text_of` gives of each record ("" is none), counted; at most `most` are kept.
TextCounts count_texts(const std::vector<DataFile>& files, std::size_t most,
                       const std::function<std::string_view(const DataRecord&)>& text_of);

}  // namespace bobby::inspection
