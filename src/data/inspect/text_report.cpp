#include "data/inspect/text_report.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "data/inspect/words.h"
#include "voice/graphemes.h"

namespace bobby::inspection {
namespace {

constexpr int kNameWidth = 26;
constexpr int kColumnWidth = 14;
constexpr int kTextBins = 12;
constexpr std::size_t kPairs = 3;
constexpr std::size_t kTexts = 8;

// A bar of `share` of `width` columns, in eighths of a column; something is never nothing.
std::string bar(double share, int width) {
  constexpr const char* kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  int eighths = static_cast<int>(std::lround(std::min(1.0, share) * width * 8));
  if (share > 0 && eighths == 0) eighths = 1;
  std::string text;
  for (int i = 0; i < eighths / 8; ++i) text += "█";
  return text + kParts[eighths % 8];
}

std::string padded_bar(double share, int width) {
  const std::string text = bar(share, width);
  const auto used = static_cast<int>(count_graphemes(text));
  return text + std::string(static_cast<std::size_t>(std::max(0, width - used)), ' ');
}

class Writer {
 public:
  Writer(const Report& report, const TextStyle& style) : report_(report), style_(style) {}

  std::string write() {
    head();
    warnings();
    table();
    histogram("Length in characters, as a reader counts them", report_.graphemes);
    if (report_.tokens.bins() > 0) histogram("Length in tokens", report_.tokens);
    origin();
    counted("Prompts", report_.prompts);
    counted("System messages", report_.systems);
    counted("Languages", report_.languages);
    counted("Sources", report_.sources);
    repeats("Said twice", report_.exact);
    repeats("Said nearly twice", report_.near);
    samples();
    return std::move(out_);
  }

 private:
  void line(std::string_view text = {}) { out_.append(text).append("\n"); }

  std::string styled(std::string_view code, std::string_view text) const {
    return style_.colour ? fmt::format("\033[{}m{}\033[0m", code, text) : std::string(text);
  }
  void heading(std::string_view text) {
    line();
    line(styled("1", text));
  }

  void head() {
    line(styled("1", printable(report_.folder)));
    if (report_.model.empty())
      line("no tokens: name the model with --model to see them");
    else
      line(fmt::format("tokens of {}, prompt form {}", printable(report_.model),
                       report_.prompt_form));
  }

  void warnings() {
    heading("Worth a look");
    if (report_.warnings.empty()) line("  Nothing looks wrong.");
    for (const Warning& warning : report_.warnings) {
      const bool grave = warning.level == WarningLevel::kWarning;
      std::string text = printable(warning.text);
      std::vector<std::string> places;
      for (const RecordPlace& place : warning.places) places.push_back(report_.place_text(place));
      if (!places.empty()) text += styled("2", fmt::format(" ({})", fmt::join(places, ", ")));
      line(fmt::format("  {} {}", grave ? styled("33", "!") : styled("2", "-"), text));
    }
  }

  template <typename Cell>
  void row(std::string_view name, const Cell& cell) {
    std::string text = fmt::format("  {:<{}}", name, kNameWidth);
    for (const SplitReport& split : report_.splits)
      text += fmt::format("{:>{}}", cell(split), kColumnWidth);
    line(text);
  }

  void lengths(std::string_view name, const Distribution SplitReport::*which) {
    row(fmt::format("{}, median", name),
        [&](const SplitReport& split) { return grouped((split.*which).median()); });
    row("  5% to 95%", [&](const SplitReport& split) { return range(split.*which); });
    row("  longest", [&](const SplitReport& split) { return grouped((split.*which).most); });
  }

  static std::string range(const Distribution& found) {
    if (found.quantiles.empty()) return "-";
    return fmt::format("{}..{}", grouped(found.quantiles[0]), grouped(found.quantiles[4]));
  }

  void table() {
    line();
    std::string names = fmt::format("  {:<{}}", "", kNameWidth);
    for (const SplitReport& split : report_.splits)
      names += fmt::format("{:>{}}", split.name, kColumnWidth);
    line(styled("1", names));
    row("records", [](const SplitReport& split) { return grouped(split.records); });
    row("form", [](const SplitReport& split) {
      std::vector<std::string_view> forms;
      for (const auto& [form, count] : split.forms) forms.push_back(name_of(form));
      return fmt::format("{}", fmt::join(forms, "+"));
    });
    row("size", [](const SplitReport& split) { return bytes_text(split.bytes); });
    lengths("characters", &SplitReport::graphemes);
    tokens();
    habits();
  }

  void tokens() {
    if (report_.tokens.bins() == 0) return;
    const auto token_row = [&](std::string_view name, const auto& cell) {
      row(name, [&](const SplitReport& split) { return cell(*split.tokens); });
    };
    token_row("tokens, median", [](const TokenReport& t) { return grouped(t.all.median()); });
    token_row("  5% to 95%", [](const TokenReport& t) { return range(t.all); });
    token_row("  longest", [](const TokenReport& t) { return grouped(t.all.most); });
    token_row("  in all", [](const TokenReport& t) { return grouped(t.all.total); });
    token_row("  of these trained", [](const TokenReport& t) {
      return percent(static_cast<double>(t.trained.total), static_cast<double>(t.all.total));
    });
    token_row(fmt::format("cut at {}", grouped(report_.max_seq_length)), [](const TokenReport& t) {
      return percent(static_cast<double>(t.cut_records), static_cast<double>(t.all.count));
    });
    for (std::size_t i = 0; i < report_.splits.front().tokens->padded.size(); ++i)
      token_row(fmt::format("padding, batches of {}",
                            report_.splits.front().tokens->padded[i].batch_size),
                [&](const TokenReport& t) { return percent(t.padded[i].waste(), 1.0); });
    token_row("padding, packed", [](const TokenReport&) { return std::string("0%"); });
  }

  void habits() {
    const auto habit = [&](std::string_view name, std::int64_t Habits::*which) {
      row(name, [&](const SplitReport& split) {
        return percent(static_cast<double>(split.habits.*which),
                       static_cast<double>(split.records));
      });
    };
    habit("with a link", &Habits::links);
    habit("with a mention", &Habits::mentions);
    habit("with a hashtag", &Habits::hashtags);
    habit("with an emoji", &Habits::emojis);
    habit("of several lines", &Habits::line_breaks);
  }

  // Neighbouring bins are joined until few enough are left for lines of a terminal.
  void histogram(std::string_view name, const Histogram& histogram) {
    heading(name);
    const std::size_t step = (histogram.bins() + kTextBins - 1) / kTextBins;
    if (step == 0) return;
    std::vector<std::vector<std::int64_t>> rows;
    for (std::size_t bin = 0; bin < histogram.bins(); bin += step) {
      rows.emplace_back(report_.splits.size(), 0);
      for (std::size_t i = bin; i < std::min(bin + step, histogram.bins()); ++i)
        for (std::size_t split = 0; split < report_.splits.size(); ++split)
          rows.back()[split] += histogram.counts[split][i];
    }
    std::int64_t most = 1;
    for (const auto& row : rows) most = std::max(most, row.front());
    const auto columns = static_cast<int>(8 * report_.splits.size());
    const int width = std::clamp(style_.width - 20 - columns, 10, 60);
    std::string names = std::string(static_cast<std::size_t>(18 + width), ' ');
    for (const SplitReport& split : report_.splits) names += fmt::format("{:>8}", split.name);
    line(styled("2", names));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::int64_t from = histogram.from(i * step);
      const bool last = i + 1 == rows.size();
      const std::int64_t to = histogram.from(std::min((i + 1) * step, histogram.bins())) - 1;
      std::string range = last && histogram.open
                              ? fmt::format("{} and more", grouped(from))
                              : fmt::format("{}..{}", grouped(from), grouped(to));
      std::string text = fmt::format("  {:>14}  ", range);
      text += styled(
          "36",
          padded_bar(static_cast<double>(rows[i].front()) / static_cast<double>(most), width));
      for (const std::int64_t count : rows[i]) text += fmt::format("{:>8}", grouped(count));
      line(text);
    }
  }

  void origin() {
    if (!report_.manifest) return;
    heading("Where they come from, by manifest.json");
    for (const ManifestSource& source : report_.manifest->sources) {
      const std::string weight =
          source.weight == 1.0 ? "" : fmt::format(", weight {:g}", source.weight);
      line(fmt::format("  {} {}: {} read, {} taken{}", printable(source.kind),
                       printable(source.name), grouped(source.read), grouped(source.taken),
                       weight));
      line(fmt::format("    {:>8}  to learn from, in {}", grouped(source.train_posts),
                       count_of(static_cast<std::int64_t>(source.train_records), "record")));
      line(fmt::format("    {:>8}  to check with", grouped(source.valid_posts)));
      reasons(source.left_out, "left out: ");
      reasons(source.noted, "changed: ");
    }
  }

  void reasons(const std::map<std::string, std::uint64_t>& counts, std::string_view what) {
    for (const auto& [reason, count] : counts)
      line(fmt::format("    {:>8}  {}{}", grouped(count), what, printable(reason)));
  }

  void counted(std::string_view name, const TextCounts& counts) {
    if (counts.most.empty()) return;
    heading(fmt::format("{}: {} distinct", name, grouped(counts.distinct)));
    const std::int64_t most = counts.most.front().total();
    std::int64_t rest = counts.other;
    for (std::size_t i = 0; i < counts.most.size(); ++i) {
      const std::int64_t total = counts.most[i].total();
      if (i >= kTexts) {
        rest += total;
        continue;
      }
      const double share = static_cast<double>(total) / static_cast<double>(most);
      line(fmt::format("  {:>8}  {} {}", grouped(total), styled("36", padded_bar(share, 16)),
                       printable(shortened(counts.most[i].text, style_.width - 30))));
    }
    if (rest > 0) line(fmt::format("  {:>8}  others", grouped(rest)));
  }

  void repeats(std::string_view name, const Repeats& repeats) {
    if (repeats.examples.empty()) return;
    heading(name);
    for (std::size_t split = 0; split < report_.splits.size(); ++split) {
      if (repeats.within[split] > 0)
        line(fmt::format("  {} of {} of another in it", count_of(repeats.within[split], "repeat"),
                         report_.splits[split].file));
      for (std::size_t earlier = 0; earlier < split; ++earlier)
        if (repeats.between[split][earlier] > 0)
          line(fmt::format("  {} of {} of one in {}",
                           count_of(repeats.between[split][earlier], "repeat"),
                           report_.splits[split].file, report_.splits[earlier].file));
    }
    for (std::size_t i = 0; i < std::min(kPairs, repeats.examples.size()); ++i) {
      const RepeatPair& pair = repeats.examples[i];
      line(fmt::format("    {:<18} {}", report_.place_text(pair.earlier),
                       excerpt(pair.earlier_text)));
      if (pair.later_text == pair.earlier_text)
        line(fmt::format("    {:<18} {}", report_.place_text(pair.later), styled("2", "the same")));
      else
        line(
            fmt::format("    {:<18} {}", report_.place_text(pair.later), excerpt(pair.later_text)));
    }
  }

  std::string excerpt(std::string_view text) const {
    return printable(shortened(text, style_.width - 26));
  }

  void samples() {
    if (report_.samples.empty()) return;
    heading("Samples, as they are trained on");
    if (!report_.model.empty()) {
      std::string legend =
          "  read: the prompt, which is masked.  learn: what the loss is taken over";
      line(styled("2", legend + (style_.colour ? "." : ", token by token.")));
    }
    for (const Sample& sample : report_.samples) {
      line();
      std::string facts = fmt::format("  {}, {}", report_.place_text(sample.place),
                                      count_of(sample.graphemes, "character"));
      if (!sample.pieces.empty())
        facts += fmt::format(", {}, {} trained", count_of(sample.tokens, "token"),
                             grouped(sample.trained));
      line(styled("2", facts));
      if (!sample.refused.empty()) line("  " + styled("33", printable(sample.refused)));
      if (sample.pieces.empty())
        turns(sample);
      else
        pieces(sample);
    }
  }

  void turns(const Sample& sample) {
    for (const RecordTurn& turn : sample.turns)
      line(fmt::format("  {:<10} {}", turn.role.empty() ? "text" : turn.role,
                       printable(shortened(turn.text, 600))));
  }

  void pieces(const Sample& sample) {
    for (std::size_t at = 0; at < sample.pieces.size();) {
      const bool trained = sample.pieces[at].trained;
      const bool cut = sample.pieces[at].cut;
      std::string text;
      for (std::size_t i = 0; at < sample.pieces.size() && sample.pieces[at].trained == trained &&
                              sample.pieces[at].cut == cut;
           ++at, ++i) {
        const std::string piece = printable(sample.pieces[at].text);
        if (trained && style_.colour)
          text += styled(i % 2 == 0 ? "32" : "36", piece);
        else
          text += (i > 0 && trained ? "│" : "") + piece;
      }
      if (!trained) text = styled(cut ? "2;9" : "2", text);
      line(fmt::format("  {:<6} {}", cut ? "cut" : trained ? "learn" : "read", text));
    }
  }

  const Report& report_;
  TextStyle style_;
  std::string out_;
};

}  // namespace

std::string text_report(const Report& report, const TextStyle& style) {
  return Writer(report, style).write();
}

}  // namespace bobby::inspection
