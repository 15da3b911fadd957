#include "fidelity/html_report.h"

#include <cmath>
#include <filesystem>
#include <fmt/format.h>

#include "data/inspect/html_page.h"
#include "data/inspect/html_plots.h"
#include "data/inspect/html_text.h"
#include "fidelity/html_plots.h"
#include "fidelity/text_report.h"

namespace bobby::fidelity {
namespace {

using inspection::bar_svg;
using inspection::escape_html_line;

std::string figure(std::string_view number, std::string_view name, std::string_view kind = "") {
  return fmt::format("<div class=\"figure {}\"><dt>{}</dt><dd>{}</dd></div>", kind, name, number);
}

std::string heading(std::string_view id, std::string_view name, std::string_view lede) {
  return fmt::format("<h2 id=\"{}-name\">{}</h2>\n<p class=\"section-lede\">{}</p>\n", id, name,
                     lede);
}

std::string opening(const Report& report) {
  std::string text = fmt::format(
      "<section class=\"hero\" aria-labelledby=\"title\">\n<p class=\"eyebrow\">An adapter's "
      "fidelity</p>\n<h1 id=\"title\" dir=\"auto\">{}</h1>\n<p class=\"lede\">{}, on {} ({}). Each "
      "way of using it beside base and adapter in fp32.</p>\n<dl class=\"figures\">",
      escape_html_line(report.adapter), escape_html_line(report.adapter_kind),
      escape_html_line(report.model), escape_html_line(report.model_kind));
  for (const WayLine& line :
       report.reference.empty() ? std::vector<WayLine>() : way_lines(report)) {
    if (line.way == Way::kRuntime) text += figure(line.agreement, "same first token, at run time");
    if (line.way == Way::kFused) text += figure(line.agreement, "the same, fused");
    if (line.way == Way::kRequantized)
      text += figure(line.agreement, "the same, fused and quantised again", "bad");
  }
  text += figure(percent(total_fused(report).lost()), "rounding beside the change, fused");
  text += figure(percent(total_requantized(report).lost()), "the same, quantised again",
                 total_requantized(report).lost() > 1.0 ? "bad" : "");
  text +=
      "</dl>\n</section>\n<section class=\"findings\" aria-labelledby=\"findings-name\">\n"
      "<h2 id=\"findings-name\">In words</h2><ul>";
  for (const std::string& sentence : sentences(report)) {
    const bool grave = sentence.find("voice lost") != std::string::npos ||
                       sentence.find("larger than") != std::string::npos;
    text += fmt::format(
        "<li class=\"{}\"><span class=\"mark\" "
        "aria-hidden=\"true\">{}</span><div><p>{}</p></div></li>",
        grave ? "grave" : "note", grave ? "!" : "i", escape_html_line(sentence));
  }
  return text + "</ul>\n</section>\n";
}

/// A row of a table with bars; the bar's share is of a scale in powers of ten where `log`.
std::string bar_row(std::string_view name, std::string_view value, double share, bool odd) {
  return fmt::format(
      "<tr><th scope=\"row\">{}</th><td class=\"value\">{}</td><td "
      "class=\"meter-cell\">{}</td></tr>",
      name, value, bar_svg(share, odd ? "fill waste" : "fill"));
}

std::string ways_section(const Report& report) {
  if (report.reference.empty()) return {};
  std::string text = heading(
      "ways", "What becomes of the posts",
      fmt::format(
          "{} positions of {} of the {} posts in <code>{}</code>. Divergence is KL from the "
          "reference, in nats, on average.",
          grouped(static_cast<std::int64_t>(report.reference.size())), report.sequences,
          report.sequences_of,
          escape_html_line(std::filesystem::path(report.data).filename().string())));
  const std::vector<WayLine> lines = way_lines(report);
  text += "<table class=\"bars\"><caption>Divergence, on a scale of powers of ten</caption><tbody>";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const double mean = numbers_of(report.ways[i], report.reference).mean_divergence;
    const double share = (std::log10(std::max(mean, 1e-9)) + 9.0) / 10.0;
    text += bar_row(escape_html_line(lines[i].name), lines[i].divergence, share,
                    lines[i].way != Way::kRuntime);
  }
  text +=
      "</tbody></table>\n<figure class=\"plot-card\"><figcaption><h3>Share of positions whose "
      "divergence is at most ...</h3><p class=\"legend\" aria-hidden=\"true\">";
  for (const WayResult& way : report.ways)
    text += fmt::format("<span class=\"key {}\"></span>{}", way_class(way.way),
                        escape_html_line(way_title(report, way.way)));
  text += "</p></figcaption>" + divergence_svg(report) + "</figure>\n";
  text +=
      "<div class=\"numbers\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"The ways in numbers\"><table><thead><tr><th scope=\"col\">way</th><th "
      "scope=\"col\">mean KL</th><th scope=\"col\">of the adapter's</th><th "
      "scope=\"col\">same first token</th><th scope=\"col\">differ</th><th "
      "scope=\"col\">perplexity</th></tr></thead><tbody>";
  text += fmt::format(
      "<tr><th scope=\"row\">fp32, the reference</th><td>0</td><td>0</td><td>100 "
      "%</td><td>0</td><td>{:.4g}</td></tr>",
      report.reference_perplexity());
  for (const WayLine& line : lines)
    text += fmt::format(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        escape_html_line(line.name), line.divergence, line.of_adapter, line.agreement, line.differs,
        line.perplexity);
  return text + "</tbody></table></div></div>\n";
}

std::string weights_section(const Report& report) {
  std::string text = heading(
      "weights", "What becomes of the weights",
      fmt::format("Rounding noise in percent of the adapter's own change ({} of the weights), by "
                  "block and projection. At 100 the noise is as large as the change.",
                  percent(total_fused(report).relative_size())));
  for (const bool requantized : {false, true})
    text += fmt::format(
        "<figure class=\"plot-card\"><figcaption><h3>Fused, {}</h3></figcaption>{}</figure>\n",
        escape_html_line(requantized ? report.requantized_type + " again" : report.fused_type),
        modules_svg(report, requantized));
  text += fmt::format(
      "<div class=\"numbers\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"The weights in numbers\"><table><thead><tr><th "
      "scope=\"col\">projection</th><th "
      "scope=\"col\">change</th><th scope=\"col\">left, {0}</th><th scope=\"col\">noise</th><th "
      "scope=\"col\">left, {1}</th><th scope=\"col\">noise</th></tr></thead><tbody>",
      escape_html_line(report.fused_type), escape_html_line(report.requantized_type));
  for (const ProjectionLine& line : projection_lines(report))
    text += fmt::format(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        escape_html_line(line.projection), percent(line.fused.relative_size()),
        percent(line.fused.kept()), percent(line.fused.lost()), percent(line.requantized.kept()),
        percent(line.requantized.lost()));
  return text + "</tbody></table></div></div>\n";
}

std::string method_section(const Report& report) {
  std::string text = heading("method", "How it was measured", "");
  text +=
      "<p class=\"plot-note\">The reference multiplies the base's own numbers, dequantised to "
      "fp32, "
      "and the pairs beside them, all in fp32. What is fused has exact arithmetic too, so that "
      "what "
      "it loses is lost by its weights alone.</p>";
  if (!report.reference.empty())
    text += fmt::format(
        "<p class=\"plot-note\">At run time the posts go through the program as they are written: "
        "prompt first, then token by token, on <code>{}</code>. Only the posts' own tokens "
        "count.</p>",
        escape_html_line(report.runtime));
  text += fmt::format(
      "<p class=\"plot-note\">Two ways are there to compare with: \"{}\" rounds the same weights "
      "without the adapter in them and keeps it beside them; \"{}\" is the base alone.</p>",
      escape_html_line(way_title(report, Way::kBaseRequantized)),
      escape_html_line(way_title(report, Way::kNoAdapter)));
  text +=
      "<p class=\"plot-note\">Left: the part of the change that still points its way, D'·D / "
      "D·D. Noise: |D' - D| / |D|, D the change that was wanted and D' the one that is "
      "there.</p>\n";
  return text;
}

}  // namespace

std::string html_report(const Report& report) {
  return inspection::html_page(
      {.title = "Fidelity of " + report.adapter,
       .opening = opening(report),
       .sections = {{"ways", "Posts", ways_section(report)},
                    {"weights", "Weights", weights_section(report)},
                    {"method", "Method", method_section(report)}},
       .footer = "Made by <code>bobby adapter fidelity</code>. This page loads nothing and sends "
                 "nothing."});
}

}  // namespace bobby::fidelity
