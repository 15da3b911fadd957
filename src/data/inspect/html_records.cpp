// The page's sections that show records: repeats, and samples with their loss mask.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "data/inspect/html_parts.h"
#include "data/inspect/html_text.h"
#include "data/inspect/words.h"

namespace bobby::inspection {
namespace {

constexpr std::int64_t kLongestText = 1200;
constexpr std::size_t kMostPieces = 600;

std::string quote(const Report& report, const RecordPlace& place, std::string_view text) {
  return fmt::format(
      "<blockquote><p class=\"post\" dir=\"auto\">{}</p><footer><code>{}</code></footer>"
      "</blockquote>",
      escape_html(shortened(text, kLongestText)), report.place_text(place));
}

std::string pairs(const Report& report, const Repeats& repeats, std::string_view name) {
  if (repeats.examples.empty()) return {};
  std::string text = fmt::format("<h3>{}</h3><ul class=\"repeats\">", name);
  for (const RepeatPair& pair : repeats.examples) {
    const bool leak = pair.earlier.split != pair.later.split;
    text += fmt::format("<li class=\"repeat{}\">", leak ? " leak" : "");
    if (leak) text += "<p class=\"badge\">in both splits</p>";
    if (pair.earlier_text == pair.later_text)
      text += fmt::format(
          "<blockquote><p class=\"post\" dir=\"auto\">{}</p><footer><code>{}</code> "
          "<code>{}</code></footer></blockquote>",
          escape_html(shortened(pair.later_text, kLongestText)), report.place_text(pair.earlier),
          report.place_text(pair.later));
    else
      text += quote(report, pair.earlier, pair.earlier_text) +
              quote(report, pair.later, pair.later_text);
    text += "</li>";
  }
  return text + "</ul>\n";
}

// A token's text with its line ends both seen and made.
std::string piece_html(const TokenPiece& piece) {
  std::string text;
  for (const char c : escape_html(piece.text))
    if (c == '\n')
      text += "<i>↵</i>\n";
    else
      text += c;
  const bool blank = piece.text.find_first_not_of(' ') == std::string::npos;
  return fmt::format("<span{} title=\"{} {}\">{}</span>", blank ? " class=\"blank\"" : "",
                     piece.ids.size() == 1 ? "token" : "tokens", fmt::join(piece.ids, ", "), text);
}

std::string tokens(const Sample& sample) {
  std::string text;
  std::size_t shown = 0;
  for (std::size_t at = 0; at < sample.pieces.size() && shown < kMostPieces;) {
    const TokenPiece& first = sample.pieces[at];
    const char* kind = first.cut ? "cut" : first.trained ? "learned" : "read";
    const char* name = first.cut ? "Cut off" : first.trained ? "Learned" : "Read, not learned";
    text +=
        fmt::format("<div class=\"part {}\"><h4>{}</h4><p class=\"run\" dir=\"auto\">", kind, name);
    for (; at < sample.pieces.size() && sample.pieces[at].trained == first.trained &&
           sample.pieces[at].cut == first.cut && shown < kMostPieces;
         ++at, ++shown)
      text += piece_html(sample.pieces[at]);
    text += "</p></div>";
  }
  if (shown < sample.pieces.size())
    text += fmt::format("<p class=\"hint\">and {} more</p>",
                        grouped(static_cast<std::int64_t>(sample.pieces.size() - shown)));
  return text;
}

std::string turns(const Sample& sample) {
  std::string text;
  for (std::size_t i = 0; i < sample.turns.size(); ++i) {
    const RecordTurn& turn = sample.turns[i];
    const bool last = i + 1 == sample.turns.size();
    text += fmt::format(
        "<div class=\"part {}\"><h4>{}</h4><p class=\"post\" dir=\"auto\">{}</p></div>",
        last ? "learned" : "read", turn.role.empty() ? "text" : escape_html_line(turn.role),
        escape_html(shortened(turn.text, kLongestText)));
  }
  return text;
}

}  // namespace

std::string repeats_section(const Report& report) {
  const std::string found =
      pairs(report, report.exact, "Word for word") + pairs(report, report.near, "Nearly the same");
  if (found.empty()) return {};
  return "<h2 id=\"repeats-name\">Said twice</h2>\n<p class=\"section-lede\">What stands twice is "
         "learned twice; what stands in two splits is learned by heart and then judged as "
         "skill.</p>\n" +
         found;
}

std::string samples_section(const Report& report) {
  if (report.samples.empty()) return {};
  std::string text = "<h2 id=\"samples-name\">Samples, as they are trained on</h2>\n";
  text += report.model.empty()
              ? "<p class=\"section-lede\">The last turn is what is learned. With "
                "<code>--model</code> this shows it token by token.</p>\n"
              : "<p class=\"section-lede\">The prompt is read and masked; the loss is taken over "
                "the rest, token by token.</p>\n";
  for (const Sample& sample : report.samples) {
    std::string facts = count_of(sample.graphemes, "character");
    if (!sample.pieces.empty())
      facts += fmt::format(" · {} · {} learned", count_of(sample.tokens, "token"),
                           grouped(sample.trained));
    text += fmt::format(
        "<article class=\"sample\" aria-label=\"{0}\"><header><code>{0}</code><span>{1}</span>"
        "</header>",
        report.place_text(sample.place), facts);
    if (!sample.refused.empty())
      text +=
          fmt::format("<p class=\"refusal\">{}</p>", escape_html(shortened(sample.refused, 600)));
    text += (sample.pieces.empty() ? turns(sample) : tokens(sample)) + "</article>\n";
  }
  return text;
}

}  // namespace bobby::inspection
