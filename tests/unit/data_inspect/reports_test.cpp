// What is shown: nothing of a hostile text reaches a terminal or a page as more than text.

#include <regex>
#include <set>

#include "data/inspect/html_report.h"
#include "data/inspect/html_text.h"
#include "data/inspect/json_report.h"
#include "data/inspect/text_report.h"
#include "data/inspect/words.h"
#include "files.h"

namespace bobby::inspection {
namespace {

const std::string kHostile =
    "<script>alert(1)</script><img src=x onerror=\"alert(2)\">' \033[31mred\033[0m \xE2\x80\xAE"
    "gnirts --> ]]> </style></title> &amp; \x01\x7F \xC2\x9B"
    "31m";

Report hostile_report() {
  std::vector<std::string> answers(3, kHostile);
  answers.push_back(kHostile + " and more");
  InspectOptions options{.max_seq_length = 100, .samples = 10, .tokens = byte_tokens()};
  options.tokens.model = kHostile;
  Report report = report_of({file_of("train.jsonl", answers, kHostile),
                             file_of("valid.jsonl", {kHostile, "refuse me"}, kHostile)},
                            options);
  report.folder = report.name = kHostile;
  report.manifest = Manifest{};
  ManifestSource source;
  source.kind = source.name = kHostile;
  source.left_out[kHostile] = 3;
  source.noted[kHostile] = 2;
  report.manifest->sources.push_back(source);
  report.languages.most.push_back({kHostile, {1, 1}});
  report.languages.distinct = 1;
  report.sources = report.languages;
  report.warnings.push_back({WarningLevel::kWarning, "x", kHostile, {}});
  return report;
}

TEST(Reports, WordsAreAsAPersonWritesThem) {
  EXPECT_EQ(count_of(1, "record"), "1 record");
  EXPECT_EQ(count_of(1204, "record"), "1,204 records");
  EXPECT_EQ(grouped(std::int64_t{-1234567}), "-1,234,567");
  EXPECT_EQ(percent(1, 3), "33%");
  EXPECT_EQ(percent(1, 30), "3.3%");
  EXPECT_EQ(percent(1, 100000), "under 0.1%");
  EXPECT_EQ(percent(9999, 10000), "99.9%");
  EXPECT_EQ(percent(5, 5), "100%");
  EXPECT_EQ(percent(0, 0), "0%");
  EXPECT_EQ(shortened("e\u0301e\u0301e\u0301", 2), "e\u0301e\u0301…");
  EXPECT_EQ(printable("a\n\t\033\x7F"), "a↵␉␛␡");
}

TEST(Reports, HtmlIsEscaped) {
  EXPECT_EQ(escape_html("<a href='x'>\"&\n"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;\n");
  EXPECT_EQ(escape_html_line("a\nb"), "a↵b");
  EXPECT_EQ(escape_html(std::string("\0\xFF", 2)), "␀\uFFFD");
}

TEST(Reports, ATerminalIsNotSteered) {
  const Report report = hostile_report();
  const std::string plain = text_report(report, {});
  for (const unsigned char c : plain) EXPECT_TRUE(c >= 0x20 || c == '\n') << static_cast<int>(c);
  EXPECT_EQ(plain.find("\xC2\x9B"), std::string::npos);
  EXPECT_EQ(plain.find("\xE2\x80\xAE"), std::string::npos);
  // Coloured, the only escapes are those of colours.
  std::string coloured = text_report(report, {.colour = true, .width = 60});
  EXPECT_NE(coloured.find('\033'), std::string::npos);
  coloured = std::regex_replace(coloured, std::regex("\033\\[[0-9;]*m"), "");
  EXPECT_EQ(coloured.find('\033'), std::string::npos);
}

TEST(Reports, APageHasNoMarkupOfItsTexts) {
  const std::string page = html_report(hostile_report());
  for (const char* part : {"<script", "<img", "onerror=\"", "-->", "]]>", "\033", "\x01"})
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  EXPECT_EQ(page.find("</style>"), page.rfind("</style>"));
  EXPECT_EQ(page.find("</title> &amp;"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;"), std::string::npos);
}

TEST(Reports, APageNamesNoOtherHost) {
  const std::string page = html_report(hostile_report());
  for (const char* part : {"http:", "https:", "//", "url(", "@import", "src=", "<link"})
    EXPECT_EQ(page.find(part) == std::string::npos ||
                  page.find(part) == page.find("src=x onerror=&quot;"),
              true)
        << part << " at " << page.substr(page.find(part), 60);
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

// Each tag is closed by its own end, in order: browsers forgive, other readers do not.
TEST(Reports, APagesTagsAreBalanced) {
  const std::string page = html_report(hostile_report());
  static const std::set<std::string> kVoid = {"meta", "!doctype"};
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-zA-Z!][a-zA-Z0-9]*)[^>]*?(/?)>");
  for (std::sregex_iterator at(page.begin(), page.end(), tag), end; at != end; ++at) {
    const std::string name = (*at)[2];
    if ((*at)[1].length() > 0) {
      ASSERT_FALSE(open.empty()) << name;
      ASSERT_EQ(open.back(), name)
          << page.substr(static_cast<std::size_t>(at->position()) - 80, 120);
      open.pop_back();
    } else if ((*at)[3].length() == 0 && !kVoid.contains(name)) {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST(Reports, JsonHasTheSameNamesWithAndWithoutTokens) {
  const auto names = [](const nlohmann::ordered_json& object) {
    std::vector<std::string> found;
    for (const auto& [name, value] : object.items()) found.push_back(name);
    return found;
  };
  const auto with = json_report(hostile_report());
  const auto without = json_report(report_of({file_of("train.jsonl", {"a"})}));
  EXPECT_EQ(names(with), names(without));
  EXPECT_EQ(names(with["splits"][0]), names(without["splits"][0]));
  EXPECT_TRUE(without["splits"][0]["tokens"].is_null());
  EXPECT_EQ(with["splits"][1]["tokens"]["refused_records"], 1);
  EXPECT_EQ(with["samples"][0]["turns"][1]["text"], kHostile);
}

TEST(Reports, AnEmptyFileIsShown) {
  const auto empty = parse_data("", "train.jsonl");
  ASSERT_TRUE(empty.has_value());
  const Report report = report_of({*empty}, {.tokens = byte_tokens()});
  EXPECT_NE(html_report(report).find("</html>"), std::string::npos);
  EXPECT_FALSE(text_report(report, {}).empty());
  EXPECT_EQ(json_report(report)["splits"][0]["records"], 0);
}

}  // namespace
}  // namespace bobby::inspection
