#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace bobby::bot {

/// Words in a row that texts have in common. Suffixes of all texts, sorted, in runs of which each
/// is at least twice as long as the next: adding a text costs little, and so does a question.
class CommonWords {
 public:
  struct Run {
    std::size_t length = 0;  ///< words
    std::string words = {};  ///< folded, with single spaces
    std::uint32_t text = 0;  ///< the number of the first text that has them
  };

  /// Texts are numbered from 0 in the order in which they are added.
  void add(std::string_view text);

  /// The longest run of words of `text` that a text of those added has, too; the first of those
  /// equally long. Texts that `skip` (where given) is true for are left out.
  Run longest(std::string_view text, const std::function<bool(std::uint32_t)>& skip = {}) const;

 private:
  using Word = std::uint32_t;
  bool before(std::uint32_t a, std::uint32_t b) const;
  std::size_t common(std::uint32_t at, std::span<const Word> words) const;
  std::uint32_t text_at(std::uint32_t position) const;

  std::unordered_map<std::string, Word> vocabulary_;  // from 1
  std::vector<Word> words_;                           // of all texts, 0 behind each
  std::vector<std::uint32_t> begins_;                 // of each text in words_
  std::vector<std::vector<std::uint32_t>> sorted_;    // positions in words_, by what begins there
};

}  // namespace bobby::bot
