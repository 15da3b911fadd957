#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "bot/deny_pattern.h"
#include "bot/deny_word.h"

namespace bobby::bot {

enum class MentionRule {
  kStrip,   ///< taken out: a model must not call people
  kRefuse,  ///< a text with one is refused
  kKeep,
};

/// A word (see DenyWord), or behind "re:" a regular expression (see DenyPattern), and where it was
/// written: "deny.txt:12".
struct DenyRule {
  std::string text;
  std::string where = "deny";
};

struct FilterConfig {
  std::vector<DenyRule> deny = {};
  MentionRule mentions = MentionRule::kStrip;
  /// Words set apart by spaces in any way are found, too: see DenyWord::find().
  bool any_spacing = false;
};

/// The rules of a deny list: one a line; empty lines and those that begin with # are none.
std::vector<DenyRule> parse_deny_list(std::string_view text, std::string_view name);

/// Why a text may not be posted.
struct Refusal {
  std::string rule;              ///< "\"word*\" (deny.txt:12)"
  Place place;                   ///< in Filtered::text
  std::string excerpt = {};      ///< the text there
  std::size_t first = 0;         ///< its first character (grapheme), from 1
  std::size_t last = 0;          ///< and its last
  std::string explanation = {};  ///< where the rule gives one

  /// "\"word*\" (deny.txt:12): \"w.o.r.d\" at characters 5 to 11"
  std::string to_string() const;
};

struct Filtered {
  std::string text;                         ///< as it may go out, where nothing refuses it
  std::vector<std::string> mentioned = {};  ///< who was mentioned and is not any more
  std::vector<Refusal> refusals = {};       ///< each rule's first
};

/// What a post must not say, as one function of its text.
class Filter {
 public:
  /// kUsage names the rule that cannot be read.
  static Result<Filter> make(const FilterConfig& config);

  /// kLimit for a text of more than 64 KiB, which no post is.
  Result<Filtered> apply(std::string_view text) const;

 private:
  struct Rule {
    std::string name;
    std::variant<DenyWord, DenyPattern> test;
  };

  std::vector<Rule> rules_;
  MentionRule mentions_ = MentionRule::kStrip;
  bool any_spacing_ = false;
};

}  // namespace bobby::bot
