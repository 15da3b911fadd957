#include "data/inspect/html_page.h"

#include <fmt/format.h>

#include "data/inspect/html_report.h"
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

}  // namespace

std::string html_page(const PageParts& parts) {
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n"
      "<meta name=\"robots\" content=\"noindex\">\n<title>{} · Bobby Posts</title>\n<style>\n{}"
      "</style>\n</head>\n<body>\n<a class=\"skip-link\" href=\"#main\">Skip to the content</a>\n",
      kPolicy, escape_html_line(parts.title), embedded_files().front().bytes);
  page += fmt::format(
      "<header class=\"site\"><div class=\"site-inner\"><span class=\"brand\">{}<span "
      "class=\"brand-name\">Bobby Posts</span></span><nav aria-label=\"Sections\"><ul>",
      kRing);
  for (const PageSection& part : parts.sections)
    if (!part.html.empty())
      page += fmt::format("<li><a href=\"#{}\">{}</a></li>", part.id, part.name);
  page += "</ul></nav></div></header>\n<main id=\"main\" tabindex=\"-1\">\n" + parts.opening;
  for (const PageSection& part : parts.sections)
    if (!part.html.empty())
      page += fmt::format("<section id=\"{0}\" aria-labelledby=\"{0}-name\">\n{1}</section>\n",
                          part.id, part.html);
  return page +
         fmt::format("</main>\n<footer><p>{}</p></footer>\n</body>\n</html>\n", parts.footer);
}

}  // namespace bobby::inspection
