#include "training/loss_plot.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <vector>

namespace bobby {
namespace {

constexpr double kWidth = 860, kHeight = 420;
constexpr double kLeft = 64, kRight = 24, kTop = 48, kBottom = 52;

struct Point {
  double x = 0.0;
  double y = 0.0;
};

// Values along one side of the plot, and where on it they lie.
struct Axis {
  double low = 0.0;
  double high = 1.0;
  double step = 0.2;
  double from = 0.0;  // in the picture
  double to = 1.0;

  double at(double value) const { return from + (to - from) * (value - low) / (high - low); }
};

// A step of 1, 2 or 5 times a power of ten that makes about `count` of `range`.
double round_step(double range, double count) {
  const double raw = range / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power) return factor * power;
  return 10.0 * power;
}

Axis make_axis(double low, double high, double count, double from, double to) {
  if (!(high > low)) {  // one value, or none
    low -= 0.5;
    high = low + 1.0;
  }
  const double step = round_step(high - low, count);
  return {std::floor(low / step) * step, std::ceil(high / step) * step, step, from, to};
}

std::vector<Point> points_of(std::span<const MetricsRow> rows,
                             std::optional<double> MetricsRow::*loss) {
  std::vector<Point> points;
  for (const MetricsRow& row : rows)
    if (row.*loss && std::isfinite(*(row.*loss)))
      points.push_back({static_cast<double>(row.iteration), *(row.*loss)});
  return points;
}

std::string line_of(std::span<const Point> points, const Axis& x, const Axis& y,
                    std::string_view kind) {
  std::string path;
  for (const Point& point : points)
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x.at(point.x), y.at(point.y));
  return path.empty() ? "" : fmt::format("<path class=\"{}\" d=\"{}\"/>\n", kind, path);
}

std::string dots_of(std::span<const Point> points, const Axis& x, const Axis& y) {
  std::string dots;
  for (const Point& point : points)
    dots += fmt::format(
        "<circle class=\"validation\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"><title>iteration {}: "
        "{:.4f}</title></circle>\n",
        x.at(point.x), y.at(point.y), point.x, point.y);
  return dots;
}

// Grid lines and their numbers. A step beyond the digits of a double ends the loop, too.
std::string ticks(const Axis& x, const Axis& y) {
  std::string out;
  constexpr int kMost = 20;
  for (int i = 0; i < kMost && x.low + i * x.step <= x.high + 1e-9; ++i) {
    const double value = x.low + i * x.step;
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:g}</text>\n",
                       x.at(value), kHeight - kBottom + 20, value);
  }
  for (int i = 0; i < kMost && y.low + i * y.step <= y.high + 1e-9 * y.step; ++i) {
    const double value = y.low + i * y.step;
    out += fmt::format(
        "<path class=\"grid\" d=\"M{0} {1:.1f} H{2}\"/><text x=\"{3}\" y=\"{4:.1f}\" "
        "text-anchor=\"end\">{5:.4g}</text>\n",
        kLeft, y.at(value), kWidth - kRight, kLeft - 8, y.at(value) + 4, value);
  }
  return out;
}

constexpr std::string_view kStyle = R"(<style>
svg { background: #fff; font: 13px system-ui, sans-serif; }
text { fill: #444; } .title { font-size: 16px; fill: #111; }
.grid { stroke: #ddd; fill: none; }
.train { stroke: #3b6ea8; stroke-width: 1.5; fill: none; }
path.validation { stroke: #c2571a; stroke-width: 2; fill: none; }
circle.validation { fill: #c2571a; }
@media (prefers-color-scheme: dark) {
  svg { background: #16181d; } text { fill: #bbb; } .title { fill: #eee; } .grid { stroke: #333; }
  .train { stroke: #7fb0e6; } path.validation { stroke: #f0995c; } circle.validation { fill: #f0995c; }
}
</style>
)";

std::string legend() {
  const double x = kWidth - kRight - 210;
  return fmt::format(
      "<path class=\"train\" d=\"M{0} 26 h24\"/><text x=\"{1}\" y=\"30\">training</text>\n"
      "<path class=\"validation\" d=\"M{2} 26 h24\"/><text x=\"{3}\" y=\"30\">validation</text>\n",
      x, x + 30, x + 104, x + 134);
}

}  // namespace

std::string loss_plot_svg(std::span<const MetricsRow> rows) {
  const std::vector<Point> train = points_of(rows, &MetricsRow::train_loss);
  const std::vector<Point> validation = points_of(rows, &MetricsRow::val_loss);
  double low = std::numeric_limits<double>::max(), high = std::numeric_limits<double>::lowest();
  double last = 1.0;
  for (const auto* points : {&train, &validation})
    for (const Point& point : *points) {
      low = std::min(low, point.y);
      high = std::max(high, point.y);
      last = std::max(last, point.x);
    }
  const Axis x = make_axis(0.0, last, 8, kLeft, kWidth - kRight);
  const Axis y = low > high ? make_axis(0.0, 1.0, 6, kHeight - kBottom, kTop)
                            : make_axis(low, high, 6, kHeight - kBottom, kTop);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" role=\"img\" aria-label=\"Loss over the iterations\">\n",
      kWidth, kHeight);
  svg += kStyle;
  svg += fmt::format("<text class=\"title\" x=\"{}\" y=\"30\">Loss</text>\n", kLeft);
  svg += legend();
  svg += ticks(x, y);
  svg += fmt::format("<text x=\"{:.0f}\" y=\"{}\" text-anchor=\"middle\">iteration</text>\n",
                     (kLeft + kWidth - kRight) / 2, kHeight - 12);
  svg += line_of(train, x, y, "train");
  svg += line_of(validation, x, y, "validation");
  svg += dots_of(validation, x, y);
  return svg + "</svg>\n";
}

}  // namespace bobby
