#include "fidelity/html_plots.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include "data/inspect/html_text.h"
#include "fidelity/text_report.h"

namespace bobby::fidelity {
namespace {

using inspection::escape_html_line;

// Heights in CSS pixels; widths are percents of whatever place there is.
constexpr double kTop = 16;
constexpr double kPlotHeight = 220;
constexpr double kBase = kTop + kPlotHeight;
constexpr int kFirstPower = -9;  // of ten, of a divergence
constexpr int kLastPower = 1;
constexpr double kCellHeight = 26;
constexpr double kHeadHeight = 26;
constexpr double kLabelWidth = 12;  // percent

double place_of(double divergence) {
  const double power = std::log10(std::max(divergence, 1e-30));
  return std::clamp((power - kFirstPower) / (kLastPower - kFirstPower), 0.0, 1.0);
}

/// Points of a thousand by a thousand, from the lower left.
std::string cumulative_points(const WayResult& way) {
  std::vector<double> values;
  for (const WayRow& row : way.rows) values.push_back(row.divergence);
  std::ranges::sort(values);
  std::string points;
  constexpr std::size_t kPoints = 160;
  for (std::size_t i = 0; i <= kPoints; ++i) {
    const double share = static_cast<double>(i) / kPoints;
    const auto index = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
    points += fmt::format("{:.1f},{:.1f} ", 1000 * place_of(values[index]), 1000 * (1 - share));
  }
  return points;
}

std::string axis() {
  std::string out;
  for (int power = kFirstPower; power <= kLastPower; power += 2) {
    const double x = 100.0 * (power - kFirstPower) / (kLastPower - kFirstPower);
    const char* anchor = x < 2 ? "start" : x > 97 ? "end" : "middle";
    out += fmt::format(R"(<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="{1}" y2="{2}"/>)"
                       R"(<text x="{0:.2f}%" y="{3}" text-anchor="{4}">1e{5}</text>)",
                       x, kTop, kBase, kBase + 19, anchor, power);
  }
  for (const double share : {0.5, 1.0}) {
    const double y = kBase - share * kPlotHeight;
    out += fmt::format(R"(<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>)"
                       R"(<text class="scale" x="0" y="{1}">{2}</text>)",
                       y, y - 4, percent(share));
  }
  return out + fmt::format(R"(<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>)", kBase);
}

/// 0 where rounding adds a hundredth of the change, 1 where it adds tenfold.
double heat(double noise) {
  return std::clamp((std::log10(std::max(noise, 1e-9)) + 2.0) / 3.0, 0.0, 1.0);
}

}  // namespace

std::string way_class(Way way) {
  return fmt::format("way-{}", static_cast<int>(way));
}

std::string divergence_svg(const Report& report) {
  std::string summary;
  for (const WayLine& line : way_lines(report))
    summary += fmt::format("{}: on average {}. ", line.name, line.divergence);
  std::string out = fmt::format(
      R"(<svg class="plot" role="img" aria-labelledby="kl-title kl-text" width="100%" height="{}">)"
      R"(<title id="kl-title">Divergence by position</title><desc id="kl-text">{}</desc>)",
      kBase + 26, escape_html_line(summary));
  out += axis();
  out += fmt::format(
      R"(<svg x="0" y="{}" width="100%" height="{}" viewBox="0 0 1000 1000" preserveAspectRatio="none">)",
      kTop, kPlotHeight);
  for (const WayResult& way : report.ways)
    out += fmt::format(
        R"(<polyline class="line {}" vector-effect="non-scaling-stroke" points="{}"><title>{}</title></polyline>)",
        way_class(way.way), cumulative_points(way), escape_html_line(way_title(report, way.way)));
  return out + "</svg></svg>";
}

std::string modules_svg(const Report& report, bool requantized) {
  std::set<std::int64_t> layers;
  for (const ModuleKept& module : report.modules) layers.insert(module.layer);
  const std::vector<ProjectionLine> projections = projection_lines(report);
  const double width = (100.0 - kLabelWidth) / static_cast<double>(projections.size());
  const std::string id = requantized ? "again" : "fused";
  const DeltaKept total = requantized ? total_requantized(report) : total_fused(report);
  std::string out = fmt::format(
      R"(<svg class="plot heat" role="img" aria-labelledby="{0}-title {0}-text" width="100%" height="{1}">)"
      R"(<title id="{0}-title">Rounding noise by block and projection</title>)"
      R"(<desc id="{0}-text">Over all modules {2} of the change, which itself is left by {3}.</desc>)",
      id, kHeadHeight + kCellHeight * static_cast<double>(layers.size()), percent(total.lost()),
      percent(total.kept()));
  for (std::size_t i = 0; i < projections.size(); ++i) {
    const std::string& name = projections[i].projection;
    const std::string brief_name = name.substr(name.rfind('.') + 1);
    out += fmt::format(R"(<text x="{:.2f}%" y="17" text-anchor="middle">{}</text>)",
                       kLabelWidth + width * (static_cast<double>(i) + 0.5),
                       escape_html_line(brief_name.substr(0, brief_name.find("_proj"))));
  }
  double y = kHeadHeight;
  for (const std::int64_t layer : layers) {
    out += fmt::format(R"(<text x="0" y="{}">{}</text>)", y + 17,
                       layer < 0 ? std::string("-") : std::to_string(layer));
    for (const ModuleKept& module : report.modules) {
      if (module.layer != layer) continue;
      const auto column =
          std::ranges::find(projections, module.projection, &ProjectionLine::projection) -
          projections.begin();
      const DeltaKept& kept = requantized ? module.requantized : module.fused;
      const double x = kLabelWidth + width * static_cast<double>(column);
      out += fmt::format(
          R"(<g><title>{}: noise {}, left {}</title><rect class="cell" x="{:.2f}%" y="{}" width="{:.2f}%" )"
          R"(height="{}" fill-opacity="{:.3f}"/><text class="on" x="{:.2f}%" y="{}" text-anchor="middle">{:.3g}</text></g>)",
          escape_html_line(module.path), percent(kept.lost()), percent(kept.kept()), x + 0.15,
          y + 1, width - 0.3, kCellHeight - 2, 0.05 + 0.5 * heat(kept.lost()), x + width / 2,
          y + 17, 100.0 * kept.lost());
    }
    y += kCellHeight;
  }
  return out + "</svg>";
}

}  // namespace bobby::fidelity
