#include "data/inspect/html_report.h"

#include <fmt/format.h>
#include <utility>

#include "data/inspect/html_parts.h"
#include "data/inspect/html_text.h"

namespace bobby::inspection {
namespace {

// The page may load nothing and run nothing, whatever its texts say.
constexpr std::string_view kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

// The ring of web/favicon.svg.
constexpr std::string_view kRing =
    R"(<svg class="ring" viewBox="0 0 32 32" width="30" height="30" aria-hidden="true">)"
    R"(<circle cx="16" cy="16" r="11" fill="none" stroke="#1f8f70" stroke-opacity="0.28" stroke-width="5"/>)"
    R"(<path d="M16 5a11 11 0 1 1-10.46 7.6" fill="none" stroke="#1f8f70" stroke-width="5" stroke-linecap="round"/>)"
    R"(<circle cx="9.2" cy="7.3" r="3.6" fill="#e0a92e"/></svg>)";

struct Section {
  std::string_view id;
  std::string_view name;
  std::string html;
};

std::vector<Section> sections(const Report& report) {
  std::vector<Section> found;
  for (auto& [id, name, html] : std::vector<Section>{
           {"lengths", "Lengths", lengths_section(report)},
           {"tokens", "Tokens", tokens_section(report)},
           {"contents", "Habits", contents_section(report)},
           {"origin", "Where from", origin_section(report)},
           {"prompts", "Prompts", prompts_section(report)},
           {"repeats", "Said twice", repeats_section(report)},
           {"samples", "Samples", samples_section(report)},
       })
    if (!html.empty()) found.push_back({id, name, std::move(html)});
  return found;
}

}  // namespace

std::string html_report(const Report& report) {
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n"
      "<meta name=\"robots\" content=\"noindex\">\n<title>{} · Bobby Posts</title>\n<style>\n{}"
      "</style>\n</head>\n<body>\n<a class=\"skip-link\" href=\"#main\">Skip to the content</a>\n",
      kPolicy, escape_html_line(report.name), embedded_files().front().bytes);
  const std::vector<Section> parts = sections(report);
  page += fmt::format(
      "<header class=\"site\"><div class=\"site-inner\"><span class=\"brand\">{}<span "
      "class=\"brand-name\">Bobby Posts</span></span><nav aria-label=\"Sections\"><ul>",
      kRing);
  for (const Section& part : parts)
    page += fmt::format("<li><a href=\"#{}\">{}</a></li>", part.id, part.name);
  page += "</ul></nav></div></header>\n<main id=\"main\" tabindex=\"-1\">\n";
  page += summary_section(report) + warnings_section(report);
  for (const Section& part : parts)
    page += fmt::format("<section id=\"{0}\" aria-labelledby=\"{0}-name\">\n{1}</section>\n",
                        part.id, part.html);
  page +=
      "</main>\n<footer><p>Made by <code>bobby data inspect</code>. This page holds texts of the "
      "training set; it loads nothing and sends nothing.</p></footer>\n</body>\n</html>\n";
  return page;
}

}  // namespace bobby::inspection
