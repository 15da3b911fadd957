#include "bot/filters.h"

#include <gtest/gtest.h>

namespace bobby::bot {
namespace {

Filter filter_of(std::vector<std::string> rules, FilterConfig config = {}) {
  for (std::string& rule : rules) config.deny.push_back({.text = std::move(rule)});
  auto filter = Filter::make(config);
  EXPECT_TRUE(filter) << (filter ? "" : filter.error().to_string());
  return *std::move(filter);
}

// What of `text` the rule refuses; empty: nothing.
std::string refused(const Filter& filter, std::string_view text) {
  const auto filtered = filter.apply(text);
  if (!filtered) return filtered.error().to_string();
  return filtered->refusals.empty() ? "" : filtered->refusals.front().excerpt;
}

struct Case {
  std::string_view rule;
  std::string_view text;
  std::string_view found;
};

TEST(Filters, WordsAreSeenThroughTricks) {
  const std::vector<Case> cases = {
      {"shit", "Oh shit, again", "shit"},
      {"shit", "SHIT!", "SHIT"},
      {"shit", "sh\u00EFt", "sh\u00EFt"},
      {"shit", "s\u0337h\u0338i\u0337t\u0338", "s\u0337h\u0338i\u0337t"},
      {"shit", "s\u200Bh\u200Bi\u00ADt", "s\u200Bh\u200Bi\u00ADt"},
      // Leet.
      {"shit", "5h1t", "5h1t"},
      {"shit", "$h!7", "$h!7"},
      {"shit", "sh|t happens", "sh|t"},
      {"ass", "what an a$$", "a$$"},
      {"ass", "@ss", "@ss"},
      {"hell", "heIl", "heIl"},
      {"hell", "h3ll", "h3ll"},
      {"hell", "HE11", "HE11"},
      // Look-alikes: Cyrillic, Greek, fullwidth, mathematical, small capitals, flags, squares,
      // strokes.
      {"shit", "\u0455h\u0456t", "\u0455h\u0456t"},
      {"hell", "\u0397\u0395LL", "\u0397\u0395LL"},
      {"shit", "\uFF53\uFF48\uFF49\uFF54", "\uFF53\uFF48\uFF49\uFF54"},
      {"shit", "\U0001D4FC\U0001D4F1\U0001D4F2\U0001D4FD",
       "\U0001D4FC\U0001D4F1\U0001D4F2\U0001D4FD"},
      {"shit", "\uA731\u029C\u026A\u1D1B", "\uA731\u029C\u026A\u1D1B"},
      {"ass", "\U0001F1E6\U0001F1F8\U0001F1F8", "\U0001F1E6\U0001F1F8\U0001F1F8"},
      {"ass", "\U0001F170\U0001F182\U0001F182", "\U0001F170\U0001F182\U0001F182"},
      {"shit", "sh\u0268\u0167", "sh\u0268\u0167"},
      {"blöd", "so BL\u00D6D", "BL\u00D6D"},
      {"straße", "STRASSE", "STRASSE"},
      // Repeated letters.
      {"shit", "shiiiiit", "shiiiiit"},
      {"shit", "sshhiitt", "sshhiitt"},
      {"ass", "assssss", "assssss"},
      {"ass", "a s s", "a s s"},
      // Set apart.
      {"shit", "s h i t", "s h i t"},
      {"shit", "s  h\ni\tt", "s  h\ni\tt"},
      {"shit", "s.h.i.t.", "s.h.i.t"},
      {"shit", "sh-it", "sh-it"},
      {"shit", "s_h_i_t", "s_h_i_t"},
      {"shit", "s\U0001F600h\U0001F600i\U0001F600t", "s\U0001F600h\U0001F600i\U0001F600t"},
      {"shit", "s hit the fan", "s hit"},
      {"shit", "s'h'i't", "s'h'i't"},
      {"shit", "s s h h i i t t", "s s h h i i t"},
      {"shit", "S \u2022 H \u2022 1 \u2022 T", "S \u2022 H \u2022 1 \u2022 T"},
      // Starred out.
      {"shit", "sh*t", "sh*t"},
      {"shit", "s**t", "s**t"},
      {"shit", "s#!t", "s#!t"},
      {"shit", "shi*", "shi*"},
      // Beside digits, underscores and changes of case.
      {"shit", "shit1 1shit", "shit"},
      {"shit", "my_shit_list", "shit"},
      {"shit", "#ShitHappens", "Shit"},
      {"shit", "(shit)", "shit"},
      {"shit", "'shit'", "shit"},
      {"shit", "that shit's real", "shit"},
      // Parts of words, where the rule says so.
      {"shit*", "shitty", "shit"},
      {"*shit*", "bullshitter", "shit"},
      {"*shit", "bullshit", "shit"},
      // Several words.
      {"kill yourself", "Kill  yourself", "Kill  yourself"},
      {"kill yourself", "kill, yourself", "kill, yourself"},
      {"kill yourself", "killyourself", "killyourself"},
      {"kill yourself", "k i l l y0urself", "k i l l y0urself"},
      {"kill-yourself", "kill yourself", "kill yourself"},
      // Other scripts, digits, emoji modifiers left alone.
      {"\u0431\u043B\u044F\u0434\u044C", "\u0411\u043B\u044F\u0434\u044C!",
       "\u0411\u043B\u044F\u0434\u044C"},
      {"\u043C\u0440\u0430\u0437\u044C", "\u043Cp.a\u0437\u044C", "\u043Cp.a\u0437\u044C"},
      {"\u99AC\u9E7F", "\u99AC\u9E7F", "\u99AC\u9E7F"},
      {"1488", "is 1488 here", "1488"},
      {"1488", "14/88", "14/88"},
  };
  for (const Case& c : cases)
    EXPECT_EQ(refused(filter_of({std::string(c.rule)}, {.mentions = MentionRule::kKeep}), c.text),
              c.found)
        << c.rule << ": " << c.text;
}

TEST(Filters, InnocentTextsPass) {
  const std::vector<Case> cases = {
      {"cunt", "Scunthorpe United", ""},
      {"shit", "Shitake? Shiitake!", ""},
      {"ass", "class assignment, pass, Assam, as", ""},
      {"ass", "as soon as she can", ""},
      {"hell", "hello, shell, Michelle", ""},
      {"hell", "he'll be back, and she'll too", ""},
      {"hell", "he\u2019ll see", ""},
      {"whore", "those who re-read", ""},
      {"whore", "who're you", ""},
      {"were", "we're here", ""},
      {"shit", "that's hit the shelves; it's hit me", ""},
      {"shit", "push it", ""},
      {"shit", "sh it", ""},
      {"anal", "a nal", ""},
      {"god", "good", ""},
      {"con", "coon", ""},
      {"ass", "4 55 people, 455 of them", ""},
      {"ass", "as* (with a footnote)", ""},
      {"boobs", "80085", ""},
      {"1488", "in 21488 and 14880 cases", ""},
      {"88", "1988", ""},
      {"88", "8 8", ""},
      {"it", "i t", ""},
      {"lame", "I am e", ""},
      {"tit", "a title, petit", ""},
      {"shitty", "shit", ""},
      {"a", "an apple", ""},
      {"kill yourself", "kill the lights yourself", ""},
      {"shit", "", ""},
      {"shit", "s", ""},
      {"shit", "s h i", ""},
      {"fag", "if a g string", ""},
      {"rape", "a rapeseed field, grapes, drapes", ""},
      {"dick", "Dickens", ""},
      {"cock", "cocktail, peacock", ""},
  };
  for (const Case& c : cases)
    EXPECT_EQ(refused(filter_of({std::string(c.rule)}), c.text), c.found)
        << c.rule << ": " << c.text;
}

TEST(Filters, AnySpacingFindsMoreAndInnocentOnesToo) {
  const Filter filter = filter_of({"shit", "whore"}, {.any_spacing = true});
  EXPECT_EQ(refused(filter, "sh it"), "sh it");
  EXPECT_EQ(refused(filter, "those who re-read"), "who re");
}

TEST(Filters, RefusalsNameTheRuleAndThePlace) {
  const Filter filter = *Filter::make(
      {.deny = parse_deny_list("# words\n\n  crap* \r\nre:\\bfree\\s+money\\b\n", "deny.txt")});
  const auto filtered =
      filter.apply("caf\u00E9 \U0001F469\u200D\U0001F469 c.r.a.p and FREE  money");
  ASSERT_TRUE(filtered);
  ASSERT_EQ(filtered->refusals.size(), 2u);
  EXPECT_EQ(filtered->refusals[0].to_string(),
            "\"crap*\" (deny.txt:3): \"c.r.a.p\" at characters 8 to 14");
  EXPECT_EQ(filtered->refusals[1].to_string(),
            "\"re:\\bfree\\s+money\\b\" (deny.txt:4): \"FREE  money\" at characters 20 to 30");
}

TEST(Filters, BadRulesAreNamed) {
  const auto error_of = [](std::string rule) {
    const auto filter = Filter::make({.deny = {{.text = std::move(rule), .where = "deny.txt:7"}}});
    return filter ? "" : filter.error().to_string();
  };
  EXPECT_NE(
      error_of("re:(").find("deny.txt:7: is no pattern: missing closing parenthesis at byte 1"),
      std::string::npos)
      << error_of("re:(");
  EXPECT_NE(error_of("re:a*").find("matches every text"), std::string::npos);
  EXPECT_NE(error_of("re:\\C").find("is no pattern"), std::string::npos);
  EXPECT_NE(error_of("re:" + std::string(3000, 'a')).find("too long"), std::string::npos);
  EXPECT_NE(error_of("").find("no letter"), std::string::npos);
  EXPECT_NE(error_of("**").find("no letter"), std::string::npos);
  EXPECT_NE(error_of("a*b").find("has a * within"), std::string::npos);
  EXPECT_NE(error_of(std::string(100, 'a')).find("too long"), std::string::npos);
}

TEST(Filters, APatternThatTakesTooLongRefuses) {
  const Filter filter = filter_of({"re:(x+x+)+y"});
  const auto filtered = filter.apply(std::string(2000, 'x') + "zy");
  ASSERT_TRUE(filtered);
  ASSERT_EQ(filtered->refusals.size(), 1u);
  EXPECT_NE(filtered->refusals[0].explanation.find("limit exceeded"), std::string::npos)
      << filtered->refusals[0].explanation;
}

TEST(Filters, HostileTextsTakeNoLongerThanOthers) {
  const Filter filter = filter_of({"aaaaaaaaaa b", "*a*", "abababababab", "s h i t"});
  for (const std::string part : {"a", "a ", "a*", "ab", "4@", "\u0455", "s h i "}) {
    std::string text;
    while (text.size() + part.size() <= 6'000) text += part;
    EXPECT_TRUE(filter.apply(text));
  }
  EXPECT_FALSE(filter.apply(std::string(70'000, 'a')));
}

TEST(Filters, Mentions) {
  struct Mentioned {
    std::string_view text;
    std::string_view stripped;
    std::size_t names;
  };
  const std::vector<Mentioned> cases = {
      {"@anna.example.org you are right", "you are right", 1},
      {"@anna @bert_b.bsky.social: both of you", "both of you", 2},
      {"I told @anna.bsky.social. She knew.", "I told anna. She knew.", 1},
      {"(@anna)", "(anna)", 1},
      {".@anna, look", ".anna, look", 1},
      {"\uFF20anna hello", "hello", 1},
      {"mail a@example.org", "mail a@example.org", 0},
      {"3 @ 5 and @", "3 @ 5 and @", 0},
      {"@anna", "", 1},
      {"caf\u00E9@anna", "caf\u00E9@anna", 0},
      {"@.anna @-x", "@.anna @-x", 0},
      {", no name", ", no name", 0},
      {" kept", " kept", 0},
  };
  for (const Mentioned& c : cases) {
    const auto filtered = filter_of({}).apply(c.text);
    ASSERT_TRUE(filtered);
    EXPECT_EQ(filtered->text, c.stripped);
    EXPECT_EQ(filtered->mentioned.size(), c.names) << c.text;
  }
  const auto kept = filter_of({}, {.mentions = MentionRule::kKeep}).apply("hi @anna");
  EXPECT_EQ(kept->text, "hi @anna");
  const auto refused = filter_of({}, {.mentions = MentionRule::kRefuse}).apply("hi @anna!");
  ASSERT_EQ(refused->refusals.size(), 1u);
  EXPECT_EQ(refused->refusals[0].to_string(), "mentions: \"@anna\" at characters 4 to 8");
}

}  // namespace
}  // namespace bobby::bot
