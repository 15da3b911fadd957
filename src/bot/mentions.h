#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bobby::bot {

struct Mention {
  std::string name;       ///< without its @
  std::size_t begin = 0;  ///< bytes [begin, end) of the text it was in, the @ among them
  std::size_t end = 0;
};

/// A text that calls nobody, and who was called.
struct WithoutMentions {
  std::string text;
  std::vector<Mention> mentions;
};

/// Takes the @names out of `text`: those that it begins with as a whole, with the comma or colon
/// behind; of the others the @ and, of a handle like "anna.example.org", all but its first part, so
/// that the sentence still reads and nobody is called. The @ of an address ("a@example.org") stays.
WithoutMentions without_mentions(std::string_view text);

}  // namespace bobby::bot
