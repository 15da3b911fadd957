#include "voice/shingles.h"

#include <algorithm>
#include <limits>

#include "base/hashing.h"
#include "voice/folded_words.h"
#include "voice/utf8.h"

namespace bobby {
namespace {

constexpr std::size_t kLetters = 5;
constexpr std::size_t kRows = 4;  // hashes of a band
constexpr std::size_t kHashes = kBands * kRows;

// One cheap function of 32 bits for each hash: an odd factor and a summand of its own, the high
// bits folded in, another factor.
struct Functions {
  std::array<std::uint32_t, kHashes> factor{};
  std::array<std::uint32_t, kHashes> summand{};
};

constexpr Functions make_functions() {
  Functions functions;
  for (std::size_t i = 0; i < kHashes; ++i) {
    functions.factor[i] = static_cast<std::uint32_t>(mix(2 * i + 1)) | 1u;
    functions.summand[i] = static_cast<std::uint32_t>(mix(2 * i + 2));
  }
  return functions;
}
constexpr Functions kFunctions = make_functions();

}  // namespace

std::vector<std::uint32_t> shingles(std::string_view text) {
  const std::string words = folded_words(text);
  std::vector<std::uint32_t> set;
  if (words.empty()) return set;
  std::vector<std::size_t> begins;  // of each code point, and the end
  for (std::size_t at = 0; at < words.size(); at += decode_utf8(words, at).length)
    begins.push_back(at);
  begins.push_back(words.size());
  const std::size_t letters = begins.size() - 1;
  const std::size_t width = std::min(kLetters, letters);
  for (std::size_t first = 0; first + width <= letters; ++first) {
    const std::size_t begin = begins[first];
    const std::string_view part =
        std::string_view(words).substr(begin, begins[first + width] - begin);
    set.push_back(static_cast<std::uint32_t>(text_hash(part)));
  }
  std::ranges::sort(set);
  set.erase(std::unique(set.begin(), set.end()), set.end());
  return set;
}

double similarity(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty() ? 1.0 : 0.0;
  std::size_t common = 0;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    if (*x == *y) {
      ++common;
      ++x;
      ++y;
    } else if (*x < *y) {
      ++x;
    } else {
      ++y;
    }
  }
  return static_cast<double>(common) / static_cast<double>(a.size() + b.size() - common);
}

Bands min_hash_bands(const std::vector<std::uint32_t>& set) {
  std::array<std::uint32_t, kHashes> least{};
  least.fill(std::numeric_limits<std::uint32_t>::max());
  for (const std::uint32_t shingle : set)
    for (std::size_t i = 0; i < kHashes; ++i) {
      std::uint32_t hash = shingle * kFunctions.factor[i] + kFunctions.summand[i];
      hash = (hash ^ (hash >> 15)) * 0x2C1B3C6Du;
      least[i] = std::min(least[i], hash ^ (hash >> 13));
    }
  Bands bands{};
  for (std::size_t band = 0; band < kBands; ++band) {
    std::uint64_t hash = band;
    for (std::size_t row = 0; row < kRows; ++row)
      hash = mix(hash ^ least[band * kRows + row]) + row;
    bands[band] = static_cast<std::uint32_t>(hash);
  }
  return bands;
}

}  // namespace bobby
