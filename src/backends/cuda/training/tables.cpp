#include "backends/cuda/training/tables.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace bobby::cuda {
namespace {

bool same(const TrainingSequence& a, const TrainingSequence& b) {
  return a.begin == b.begin && a.count == b.count && a.record == b.record;
}

}  // namespace

Result<SequenceTable> SequenceTables::find(std::span<const TrainingSequence> sequences) {
  if (table_.sequences && std::ranges::equal(sequences, known_, same)) return table_;
  std::vector<SequenceEntry> entries;
  std::vector<SequenceChunk> chunks;
  SequenceTable table;
  for (const TrainingSequence& sequence : sequences) {
    const auto begin = static_cast<int>(sequence.begin);
    const auto count = static_cast<int>(sequence.count);
    SequenceEntry entry{begin, count, static_cast<int>(chunks.size()), 0, sequence.record};
    for (int position = 0; position < count; position += kChunkRows) {
      chunks.push_back({begin + position, std::min(kChunkRows, count - position), position,
                        static_cast<int>(entries.size())});
      ++entry.chunks;
    }
    entries.push_back(entry);
    table.rows += count;
    table.longest = std::max(table.longest, count);
  }
  table.sequence_count = static_cast<int>(entries.size());
  table.chunk_count = static_cast<int>(chunks.size());
  std::vector<int> order(chunks.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int a, int b) {
    return chunks[static_cast<std::size_t>(a)].position >
           chunks[static_cast<std::size_t>(b)].position;
  });

  // One piece, so that beginning anew cannot part it.
  const std::size_t entry_bytes = entries.size() * sizeof(SequenceEntry);
  const std::size_t chunk_bytes = chunks.size() * sizeof(SequenceChunk);
  std::vector<std::byte> bytes(entry_bytes + chunk_bytes + order.size() * sizeof(int));
  std::memcpy(bytes.data(), entries.data(), entry_bytes);
  std::memcpy(bytes.data() + entry_bytes, chunks.data(), chunk_bytes);
  std::memcpy(bytes.data() + entry_bytes + chunk_bytes, order.data(), order.size() * sizeof(int));
  known_.clear();
  table_ = {};
  const auto* put = static_cast<const std::byte*>(arguments_.put(bytes.data(), bytes.size()));
  if (!put)
    return fail({.code = ErrorCode::kLimit, .problem = "no memory for a batch's sequences"});
  table.sequences = reinterpret_cast<const SequenceEntry*>(put);
  table.chunks = reinterpret_cast<const SequenceChunk*>(put + entry_bytes);
  table.longest_first = reinterpret_cast<const int*>(put + entry_bytes + chunk_bytes);
  known_.assign(sequences.begin(), sequences.end());
  table_ = table;
  return table_;
}

}  // namespace bobby::cuda
