#include "data/inspect/html_parts.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>

#include "data/inspect/html_plots.h"
#include "data/inspect/html_text.h"
#include "data/inspect/words.h"

namespace bobby::inspection {
namespace {

constexpr std::int64_t kPostLimit = 300;  // Bluesky's
constexpr std::int64_t kLongestPrompt = 240;

std::string heading(std::string_view id, std::string_view name) {
  return fmt::format("<h2 id=\"{}-name\">{}</h2>\n", id, name);
}

std::vector<std::string> split_names(const Report& report) {
  std::vector<std::string> names;
  for (const SplitReport& split : report.splits) names.push_back(split.name);
  return names;
}

std::string figure(std::string_view number, std::string_view name, std::string_view kind = "") {
  return fmt::format("<div class=\"figure {}\"><dt>{}</dt><dd>{}</dd></div>", kind, name, number);
}

std::string legend(const Report& report) {
  std::string text = "<p class=\"legend\" aria-hidden=\"true\">";
  for (std::size_t i = 0; i < report.splits.size(); ++i)
    text += fmt::format("<span class=\"key key-{}\"></span>{}", i, report.splits[i].name);
  return text + "</p>";
}

// The numbers behind a plot, for those who want or need them.
std::string histogram_table(const Report& report, const Histogram& histogram,
                            std::string_view unit) {
  std::string text = fmt::format(
      "<details class=\"numbers\"><summary>As a table</summary><div class=\"scroll\" "
      "tabindex=\"0\" "
      "role=\"region\" aria-label=\"Table of lengths in {0}s\"><table><thead><tr><th "
      "scope=\"col\">{0}s</th>",
      unit);
  for (const SplitReport& split : report.splits)
    text += fmt::format("<th scope=\"col\">{}</th>", split.name);
  text += "</tr></thead><tbody>";
  for (std::size_t bin = 0; bin < histogram.bins(); ++bin) {
    const bool open = histogram.open && bin + 1 == histogram.bins();
    text += fmt::format(
        "<tr><th scope=\"row\">{}{}</th>", grouped(histogram.from(bin)),
        open ? " and more" : fmt::format(" to {}", grouped(histogram.from(bin + 1) - 1)));
    for (const auto& set : histogram.counts) text += fmt::format("<td>{}</td>", grouped(set[bin]));
    text += "</tr>";
  }
  return text + "</tbody></table></div></details>";
}

std::string length_words(const Report& report, std::string_view unit,
                         const std::function<const Distribution&(const SplitReport&)>& which) {
  std::vector<std::string> words;
  for (const SplitReport& split : report.splits) {
    const Distribution& found = which(split);
    if (found.count == 0) continue;
    words.push_back(fmt::format("{}: half are of {} to {} {}s, the middle {}, the longest {}",
                                split.name, grouped(found.quantiles[1]),
                                grouped(found.quantiles[3]), unit, grouped(found.median()),
                                grouped(found.most)));
  }
  return fmt::format("{}.", fmt::join(words, "; "));
}

std::string plot(const Report& report, const Histogram& histogram, const PlotText& text,
                 const std::vector<PlotMark>& marks, std::string_view note) {
  return fmt::format(
      "<figure class=\"plot-card\"><figcaption><h3>{}</h3>{}</figcaption>{}<p "
      "class=\"plot-note\">{}</p>{}</figure>\n",
      escape_html_line(text.title), legend(report),
      histogram_svg(histogram, split_names(report), marks, text), escape_html_line(text.summary),
      fmt::format("{}{}", note, histogram_table(report, histogram, text.unit)));
}

// A row of a table with bars.
struct BarRow {
  std::string name;  ///< HTML
  double share = 0.0;
  std::string value;  ///< HTML
};

std::string bar_table(std::string_view caption, std::string_view kind,
                      const std::vector<BarRow>& rows) {
  std::string text = fmt::format("<table class=\"bars\"><caption>{}</caption><tbody>", caption);
  for (const BarRow& row : rows)
    text += fmt::format(
        "<tr><th scope=\"row\" dir=\"auto\">{}</th><td class=\"value\">{}</td><td "
        "class=\"meter-cell\">{}</td></tr>",
        row.name, row.value, bar_svg(row.share, kind));
  return text + "</tbody></table>\n";
}

std::string counted(std::string_view caption, const TextCounts& counts) {
  if (counts.most.empty()) return {};
  const auto most = static_cast<double>(counts.most.front().total());
  std::vector<BarRow> rows;
  for (const TextCount& one : counts.most)
    rows.push_back({escape_html(shortened(one.text, kLongestPrompt)),
                    static_cast<double>(one.total()) / most, grouped(one.total())});
  std::string text = bar_table(caption, "fill", rows);
  if (counts.other > 0)
    text +=
        fmt::format("<p class=\"hint\">and {} in {} more</p>\n", count_of(counts.other, "record"),
                    grouped(counts.distinct - static_cast<std::int64_t>(counts.most.size())));
  return text;
}

std::string reasons(std::string_view caption, const std::map<std::string, std::uint64_t>& counts,
                    std::uint64_t of) {
  std::vector<BarRow> rows;
  for (const auto& [reason, count] : counts)
    rows.push_back({escape_html_line(shortened(reason, kLongestPrompt)),
                    of == 0 ? 0.0 : static_cast<double>(count) / static_cast<double>(of),
                    grouped(count)});
  std::ranges::stable_sort(rows, std::greater(), &BarRow::share);
  return rows.empty() ? std::string() : bar_table(caption, "fill spark", rows);
}

std::string source_card(const ManifestSource& source) {
  const std::string weight =
      source.weight == 1.0 ? "" : fmt::format(", weight {:g}", source.weight);
  return fmt::format(
      "<article class=\"source\"><h3 dir=\"auto\">{} <span class=\"kind\">{}</span></h3><p>{} "
      "read, <b>{} taken</b>{}: {} to learn from in {}, {} to check with.</p>{}{}</article>\n",
      escape_html_line(shortened(source.name, kLongestPrompt)),
      escape_html_line(shortened(source.kind, kLongestPrompt)), grouped(source.read),
      grouped(source.taken), weight, grouped(source.train_posts),
      count_of(static_cast<std::int64_t>(source.train_records), "record"),
      grouped(source.valid_posts), reasons("Left out, and why", source.left_out, source.read),
      reasons("Changed on the way", source.noted, source.read));
}

const SplitReport* split_named(const Report& report, std::string_view name) {
  for (const SplitReport& split : report.splits)
    if (split.name == name) return &split;
  return nullptr;
}

std::string lede(const Report& report) {
  const SplitReport& first = report.splits.front();
  std::vector<std::string> parts;
  for (const SplitReport& split : report.splits)
    parts.push_back(fmt::format("{} {}", grouped(split.records),
                                split.name == "train"   ? "to learn from"
                                : split.name == "valid" ? "to check with"
                                                        : "to test with"));
  std::string text =
      fmt::format("{}: {}.", count_of(report.records(), "record"), fmt::join(parts, ", "));
  if (first.records > 0)
    text +=
        fmt::format(" Half of them are {} to {} characters long.",
                    grouped(first.graphemes.quantiles[1]), grouped(first.graphemes.quantiles[3]));
  return text;
}

}  // namespace

std::string summary_section(const Report& report) {
  std::string text = fmt::format(
      "<section class=\"hero\" aria-labelledby=\"title\">\n<p class=\"eyebrow\">A training set, "
      "looked at</p>\n<h1 id=\"title\" dir=\"auto\">{}</h1>\n<p class=\"lede\">{}</p>\n<dl "
      "class=\"figures\">",
      escape_html_line(shortened(report.name, 120)), lede(report));
  for (const SplitReport& split : report.splits)
    text += figure(grouped(split.records), fmt::format("in {}", split.file));
  const SplitReport& first = report.splits.front();
  text += figure(grouped(first.graphemes.median()), "characters, the middle post");
  if (first.tokens) {
    text += figure(grouped(first.tokens->trained.total), "tokens learned in a pass");
    text += figure(percent(static_cast<double>(first.tokens->cut_records),
                           static_cast<double>(first.tokens->all.count)),
                   fmt::format("cut at {} tokens", grouped(report.max_seq_length)),
                   first.tokens->cut_records > 0 ? "bad" : "");
  }
  const std::int64_t twice =
      report.exact.total_within() + report.near.total_within() - report.asked_repeats();
  text += figure(grouped(twice), "said twice", twice > 0 ? "odd" : "");
  const std::int64_t leaked = report.exact.total_between() + report.near.total_between();
  if (report.splits.size() > 1)
    text += figure(grouped(leaked), "in more than one split", leaked > 0 ? "bad" : "");
  return text + "</dl>\n</section>\n";
}

std::string warnings_section(const Report& report) {
  std::string text = "<section class=\"findings\" aria-labelledby=\"findings-name\">\n" +
                     heading("findings", "Worth a look");
  if (report.warnings.empty())
    return text +
           "<p class=\"fine\"><span aria-hidden=\"true\">✓</span>Nothing looks wrong.</p>\n"
           "</section>\n";
  text += "<ul>";
  for (const Warning& warning : report.warnings) {
    const bool grave = warning.level == WarningLevel::kWarning;
    text += fmt::format(
        "<li class=\"{}\"><span class=\"mark\" aria-hidden=\"true\">{}</span><div><p><span "
        "class=\"visually-hidden\">{}: </span>{}</p>",
        grave ? "grave" : "note", grave ? "!" : "i", grave ? "Warning" : "Note",
        escape_html(shortened(warning.text, 600)));
    std::vector<std::string> places;
    for (const RecordPlace& place : warning.places)
      places.push_back(fmt::format("<code>{}</code>", report.place_text(place)));
    if (!places.empty()) text += fmt::format("<p class=\"places\">{}</p>", fmt::join(places, " "));
    text += "</div></li>";
  }
  return text + "</ul>\n</section>\n";
}

std::string lengths_section(const Report& report) {
  const auto graphemes = [](const SplitReport& split) -> const Distribution& {
    return split.graphemes;
  };
  const PlotText text = {.id = "plot-graphemes",
                         .title = "Characters, as a reader counts them",
                         .summary = length_words(report, "character", graphemes),
                         .unit = "character"};
  return heading("lengths", "How long they are") +
         plot(report, report.graphemes, text, {{kPostLimit, "300"}}, "");
}

std::string tokens_section(const Report& report) {
  if (report.tokens.bins() == 0) return {};
  const auto tokens = [](const SplitReport& split) -> const Distribution& {
    return split.tokens->all;
  };
  const PlotText text = {.id = "plot-tokens",
                         .title = "Tokens, with the prompt",
                         .summary = length_words(report, "token", tokens),
                         .unit = "token"};
  std::string section = heading("tokens", "What the model sees");
  section += fmt::format(
      "<p class=\"section-lede\">As <b>{}</b> reads them, in the prompt form <b>{}</b>.</p>\n",
      escape_html_line(report.model), escape_html_line(report.prompt_form));
  section += "<div class=\"pair\">";
  section +=
      plot(report, report.tokens, text,
           {{report.max_seq_length, fmt::format("cut at {}", grouped(report.max_seq_length))}}, "");
  const TokenReport& first = *report.splits.front().tokens;
  std::vector<BarRow> rows;
  for (const BatchCost& cost : first.padded)
    rows.push_back({fmt::format("Padded, {} at a time", cost.batch_size), cost.waste(),
                    percent(cost.waste(), 1.0)});
  rows.push_back({"Packed", 0.0, "0%"});
  section += fmt::format(
      "<div class=\"plot-card\"><h3>Work that teaches nothing</h3>{}<p class=\"plot-note\">A batch "
      "padded to its longest record computes over the filling too. Of {} tokens in a pass over {}, "
      "{} are learned; the rest is the prompt, which is read.</p></div></div>\n",
      bar_table("Share of padding in a pass", "fill waste", rows), grouped(first.all.total),
      report.splits.front().file,
      percent(static_cast<double>(first.trained.total), static_cast<double>(first.all.total)));
  return section;
}

std::string contents_section(const Report& report) {
  const SplitReport* split = split_named(report, "train");
  if (split == nullptr) split = &report.splits.front();
  if (split->records == 0) return {};
  const auto row = [&](std::string_view name, std::int64_t count) {
    return BarRow{std::string(name),
                  static_cast<double>(count) / static_cast<double>(split->records),
                  percent(static_cast<double>(count), static_cast<double>(split->records))};
  };
  const Habits& habits = split->habits;
  return heading("contents", "Habits it will pick up") +
         "<p class=\"section-lede\">A voice learns to write what its posts hold.</p>\n" +
         bar_table(fmt::format("Share of the records in {}", split->file), "fill",
                   {row("Several lines", habits.line_breaks), row("An emoji", habits.emojis),
                    row("A hashtag", habits.hashtags), row("A mention", habits.mentions),
                    row("A link", habits.links)});
}

std::string origin_section(const Report& report) {
  const bool manifest = report.manifest && !report.manifest->sources.empty();
  if (!manifest && report.sources.most.empty() && report.languages.most.empty()) return {};
  std::string text = heading("origin", "Where they come from");
  if (manifest)
    for (const ManifestSource& source : report.manifest->sources) text += source_card(source);
  return text + counted("Records by source", report.sources) +
         counted("Records by language", report.languages);
}

std::string prompts_section(const Report& report) {
  if (report.prompts.most.empty() && report.systems.most.empty()) return {};
  return heading("prompts", "What is asked") +
         counted(fmt::format("{} in all", count_of(report.prompts.distinct, "prompt")),
                 report.prompts) +
         counted(fmt::format("{} in all", count_of(report.systems.distinct, "system message")),
                 report.systems);
}

}  // namespace bobby::inspection
