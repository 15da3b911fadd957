// Which records are shown, and their tokens as a person can read them.

#include "data/inspect/samples.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "voice/graphemes.h"
#include "voice/utf8.h"

namespace bobby::inspection {
namespace {

// Whether `text` ends within a code point that further bytes may complete.
bool ends_within_a_code_point(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte >> 6 == 2) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > back;
  }
  return false;
}

// `count` numbers below `size`, each at most once, in rising order.
std::vector<std::size_t> draw(std::size_t size, std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> numbers(size);
  std::iota(numbers.begin(), numbers.end(), std::size_t{0});
  count = std::min(count, size);
  for (std::size_t i = 0; i < count; ++i) {
    const double share = uniform(seed, static_cast<std::uint32_t>(i), 0, 0);
    const auto step = static_cast<std::size_t>(share * static_cast<double>(size - i));
    std::swap(numbers[i], numbers[i + step]);
  }
  numbers.resize(count);
  std::ranges::sort(numbers);
  return numbers;
}

Sample show(const DataRecord& record, std::size_t split, const InspectOptions& options) {
  Sample sample{.place = {split, record.line}, .form = record.form, .turns = record.turns};
  sample.graphemes = count_graphemes(record.answer());
  if (!options.tokens) return sample;
  const auto made = options.tokens.tokenize(record);
  if (!made) {
    sample.refused = made.error().to_string();
    return sample;
  }
  sample.pieces = token_pieces(*made, options.tokens, options.max_seq_length);
  sample.tokens = static_cast<std::int64_t>(made->tokens.size());
  for (const TokenPiece& piece : sample.pieces)
    if (piece.trained) sample.trained += static_cast<std::int64_t>(piece.ids.size());
  return sample;
}

}  // namespace

std::vector<TokenPiece> token_pieces(const RecordTokens& record, const TokenSource& source,
                                     std::int64_t max_seq_length) {
  std::vector<TokenPiece> pieces;
  bool within = false;
  for (std::size_t i = 0; i < record.tokens.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const bool cut = at >= max_seq_length;
    const bool trained = !cut && at >= std::max<std::int64_t>(record.loss_begin, 1);
    if (!within || pieces.back().trained != trained || pieces.back().cut != cut)
      pieces.push_back({.trained = trained, .cut = cut});
    TokenPiece& piece = pieces.back();
    piece.text += source.bytes(record.tokens[i]);
    piece.ids.push_back(record.tokens[i]);
    within = ends_within_a_code_point(piece.text);
  }
  for (TokenPiece& piece : pieces) piece.text = repair_utf8(piece.text);
  return pieces;
}

std::vector<Sample> draw_samples(const std::vector<DataFile>& files,
                                 const InspectOptions& options) {
  std::size_t size = 0;
  for (const DataFile& file : files) size += file.records.size();
  std::vector<Sample> samples;
  for (std::size_t number : draw(size, static_cast<std::size_t>(options.samples), options.seed)) {
    std::size_t split = 0;
    for (; number >= files[split].records.size(); ++split) number -= files[split].records.size();
    samples.push_back(show(files[split].records[number], split, options));
  }
  return samples;
}

}  // namespace bobby::inspection
