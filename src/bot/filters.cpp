#include "bot/filters.h"

#include <algorithm>
#include <fmt/format.h>

#include "bot/mentions.h"
#include "voice/graphemes.h"

namespace bobby::bot {
namespace {

constexpr std::size_t kMostBytes = 64 * 1024;
constexpr std::string_view kPattern = "re:";
constexpr std::string_view kBlank = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

Refusal refusal(std::string rule, Place place, std::string_view text) {
  Refusal made{.rule = std::move(rule), .place = place};
  const std::string_view excerpt = text.substr(place.begin, place.end - place.begin);
  made.excerpt = excerpt;
  made.first = static_cast<std::size_t>(count_graphemes(text.substr(0, place.begin))) + 1;
  const auto length = static_cast<std::size_t>(count_graphemes(excerpt));
  made.last = made.first + std::max<std::size_t>(length, 1) - 1;
  return made;
}

}  // namespace

std::vector<DenyRule> parse_deny_list(std::string_view text, std::string_view name) {
  std::vector<DenyRule> rules;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = trimmed(text.substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    rules.push_back({.text = std::string(line), .where = fmt::format("{}:{}", name, number)});
  }
  return rules;
}

std::string Refusal::to_string() const {
  const std::string where = first == last ? fmt::format("character {}", first)
                                          : fmt::format("characters {} to {}", first, last);
  std::string text = fmt::format("{}: \"{}\" at {}", rule, excerpt, where);
  if (!explanation.empty()) text += fmt::format(" ({})", explanation);
  return text;
}

Result<Filter> Filter::make(const FilterConfig& config) {
  Filter filter;
  filter.mentions_ = config.mentions;
  filter.any_spacing_ = config.any_spacing;
  for (const DenyRule& rule : config.deny) {
    const std::string_view text = trimmed(rule.text);
    std::string name = fmt::format("\"{}\" ({})", text, rule.where);
    if (text.starts_with(kPattern)) {
      auto pattern = DenyPattern::parse(text.substr(kPattern.size()));
      if (!pattern) return fail(std::move(pattern.error()).in(rule.where));
      filter.rules_.push_back({.name = std::move(name), .test = *std::move(pattern)});
    } else {
      auto word = DenyWord::parse(text);
      if (!word) return fail(std::move(word.error()).in(rule.where));
      filter.rules_.push_back({.name = std::move(name), .test = *std::move(word)});
    }
  }
  return filter;
}

Result<Filtered> Filter::apply(std::string_view text) const {
  if (text.size() > kMostBytes)
    return fail({.code = ErrorCode::kLimit,
                 .problem = "the text is too long for a post",
                 .expected = fmt::format("at most {} bytes", kMostBytes),
                 .found = fmt::format("{}", text.size())});
  Filtered made{.text = std::string(text)};
  if (mentions_ != MentionRule::kKeep) {
    WithoutMentions without = without_mentions(text);
    if (mentions_ == MentionRule::kStrip) {
      made.text = std::move(without.text);
      for (Mention& mention : without.mentions) made.mentioned.push_back(std::move(mention.name));
    } else if (!without.mentions.empty()) {
      const Mention& first = without.mentions.front();
      made.refusals.push_back(refusal("mentions", {first.begin, first.end}, made.text));
    }
  }
  const std::vector<Unit> units = fold_units(made.text);
  for (const Rule& rule : rules_) {
    if (const auto* word = std::get_if<DenyWord>(&rule.test)) {
      if (const auto place = word->find(units, any_spacing_))
        made.refusals.push_back(refusal(rule.name, *place, made.text));
      continue;
    }
    const auto place = std::get<DenyPattern>(rule.test).find(made.text);
    if (place && *place) made.refusals.push_back(refusal(rule.name, **place, made.text));
    if (!place) {
      // What cannot be decided is not posted.
      Refusal undecided = refusal(rule.name, {0, made.text.size()}, made.text);
      undecided.explanation = place.error().to_string();
      made.refusals.push_back(std::move(undecided));
    }
  }
  return made;
}

}  // namespace bobby::bot
