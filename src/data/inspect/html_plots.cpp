#include "data/inspect/html_plots.h"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

#include "data/inspect/html_text.h"
#include "data/inspect/words.h"

namespace bobby::inspection {
namespace {

// Heights in CSS pixels; widths are percents of whatever place there is.
constexpr double kTop = 26;
constexpr double kPlotHeight = 172;
constexpr double kBase = kTop + kPlotHeight;
constexpr double kHeight = kBase + 26;
constexpr std::int64_t kTicks = 5;

class HistogramPlot {
 public:
  HistogramPlot(const Histogram& histogram, const std::vector<std::string>& names,
                const std::vector<PlotMark>& marks, const PlotText& text)
      : histogram_(histogram), names_(names), marks_(marks), text_(text) {
    for (const auto& set : histogram_.counts) {
      totals_.push_back(std::accumulate(set.begin(), set.end(), std::int64_t{0}));
      for (std::size_t bin = 0; bin < set.size(); ++bin)
        top_ = std::max(top_, share(totals_.size() - 1, bin));
    }
    width_ = 100.0 / static_cast<double>(std::max<std::size_t>(histogram_.bins(), 1));
  }

  std::string draw() {
    out_ = fmt::format(
        R"(<svg class="plot" role="img" aria-labelledby="{0}-title {0}-text" width="100%" height="{1}">)"
        R"(<title id="{0}-title">{2}</title><desc id="{0}-text">{3}</desc>)",
        text_.id, kHeight, escape_html_line(text_.title), escape_html_line(text_.summary));
    grid();
    for (std::size_t bin = 0; bin < histogram_.bins(); ++bin) draw_bin(bin);
    axis();
    for (const PlotMark& mark : marks_) draw_mark(mark);
    return out_ + "</svg>";
  }

 private:
  double share(std::size_t set, std::size_t bin) const {
    const std::int64_t total = totals_[set];
    if (total == 0) return 0.0;
    return static_cast<double>(histogram_.counts[set][bin]) / static_cast<double>(total);
  }
  double height(double share) const { return top_ > 0 ? share / top_ * kPlotHeight : 0.0; }
  double x_of(std::int64_t value) const {
    return static_cast<double>(value) / static_cast<double>(histogram_.bin_width) * width_;
  }

  void grid() {
    for (const double part : {0.5, 1.0}) {
      const double y = kBase - part * kPlotHeight;
      out_ += fmt::format(R"(<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>)"
                          R"(<text class="scale" x="100%" y="{1}" text-anchor="end">{2}</text>)",
                          y, y - 5, percent(part * top_, 1.0));
    }
  }

  std::string bin_name(std::size_t bin) const {
    const std::int64_t from = histogram_.from(bin);
    const std::int64_t to = histogram_.from(bin + 1) - 1;
    if (histogram_.open && bin + 1 == histogram_.bins())
      return fmt::format("{} {}s and more", grouped(from), text_.unit);
    if (from == to) return count_of(from, text_.unit);
    return fmt::format("{} to {} {}s", grouped(from), grouped(to), text_.unit);
  }

  void draw_bin(std::size_t bin) {
    std::string tip = bin_name(bin) + ":";
    for (std::size_t set = 0; set < names_.size(); ++set)
      tip += fmt::format(" {} {} ({})", names_[set], grouped(histogram_.counts[set][bin]),
                         percent(share(set, bin), 1.0));
    const double x = static_cast<double>(bin) * width_;
    const double bar = height(share(0, bin));
    const bool over = std::ranges::any_of(
        marks_, [&](const PlotMark& mark) { return histogram_.from(bin) >= mark.value; });
    out_ += fmt::format(
        R"(<g class="bin"><title>{}</title><rect class="hit" x="{:.3f}%" y="{}" width="{:.3f}%" height="{}"/>)"
        R"(<rect class="{}" x="{:.3f}%" y="{:.2f}" width="{:.3f}%" height="{:.2f}"/>)",
        escape_html_line(tip), x, kTop, width_, kPlotHeight, over ? "bar beyond" : "bar",
        x + width_ * 0.07, kBase - bar, width_ * 0.86, bar);
    for (std::size_t set = 1; set < names_.size(); ++set)
      if (histogram_.counts[set][bin] > 0)
        out_ += fmt::format(
            R"(<rect class="cap cap-{}" x="{:.3f}%" y="{:.2f}" width="{:.3f}%" height="3" rx="1.5"/>)",
            set, x + width_ * 0.02, kBase - height(share(set, bin)) - 1.5, width_ * 0.96);
    out_ += "</g>";
  }

  void axis() {
    out_ += fmt::format(R"(<line class="axis" x1="0" x2="100%" y1="{0}" y2="{0}"/>)", kBase + 0.5);
    const std::int64_t reach = histogram_.from(histogram_.bins());
    const std::int64_t step = round_step(std::max<std::int64_t>(1, (reach + kTicks) / kTicks));
    for (std::int64_t tick = 0; tick <= reach; tick += step) {
      const double x = x_of(tick);
      const char* anchor = x < 2 ? "start" : x > 97 ? "end" : "middle";
      out_ += fmt::format(R"(<text class="tick" x="{:.3f}%" y="{}" text-anchor="{}">{}</text>)", x,
                          kBase + 19, anchor, grouped(tick));
    }
  }

  void draw_mark(const PlotMark& mark) {
    const double x = x_of(mark.value);
    if (x > 100.0) return;
    const bool left = x > 60;
    out_ += fmt::format(
        R"(<line class="mark" x1="{0:.3f}%" x2="{0:.3f}%" y1="10" y2="{1}"/>)"
        R"(<text class="mark-name" x="{0:.3f}%" dx="{2}" y="18" text-anchor="{3}">{4}</text>)",
        x, kBase, left ? -6 : 6, left ? "end" : "start", escape_html_line(mark.label));
  }

  const Histogram& histogram_;
  const std::vector<std::string>& names_;
  const std::vector<PlotMark>& marks_;
  const PlotText& text_;
  std::vector<std::int64_t> totals_;
  double top_ = 0.0;
  double width_ = 100.0;
  std::string out_;
};

}  // namespace

std::string histogram_svg(const Histogram& histogram, const std::vector<std::string>& names,
                          const std::vector<PlotMark>& marks, const PlotText& text) {
  return HistogramPlot(histogram, names, marks, text).draw();
}

std::string bar_svg(double share, std::string_view kind) {
  share = std::clamp(share, 0.0, 1.0);
  return fmt::format(R"(<svg class="meter" aria-hidden="true" width="100%" height="12">)"
                     R"(<rect class="track" width="100%" height="12" rx="6"/>)"
                     R"(<rect class="{}" width="{:.2f}%" height="12" rx="6"/></svg>)",
                     kind, 100.0 * share);
}

}  // namespace bobby::inspection
