#include "data/inspect/json_report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bobby::inspection {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

Json distribution_json(const Distribution& found) {
  Json quantiles = Json::object();
  for (std::size_t i = 0; i < found.quantiles.size(); ++i)
    quantiles[fmt::format("{}", kQuantiles[i])] = found.quantiles[i];
  return {{"count", found.count}, {"total", found.total}, {"least", found.least},
          {"most", found.most},   {"mean", found.mean},   {"quantiles", quantiles}};
}

double share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

Json tokens_json(const TokenReport& tokens) {
  Json padded = Json::array();
  for (const BatchCost& cost : tokens.padded)
    padded.push_back({{"batch_size", cost.batch_size},
                      {"positions", cost.computed},
                      {"used", cost.used},
                      {"padding_share", cost.waste()}});
  return {{"all", distribution_json(tokens.all)},
          {"trained", distribution_json(tokens.trained)},
          {"cut_records", tokens.cut_records},
          {"cut_share", share(tokens.cut_records, tokens.all.count)},
          {"cut_tokens", tokens.cut_tokens},
          {"untrained_records", tokens.untrained},
          {"refused_records", tokens.refused},
          {"padded_batches", padded}};
}

Json split_json(const SplitReport& split) {
  Json forms = Json::object();
  for (const auto& [form, count] : split.forms) forms[std::string(name_of(form))] = count;
  return {{"name", split.name},
          {"file", split.file},
          {"sha256", split.sha256},
          {"bytes", split.bytes},
          {"records", split.records},
          {"forms", forms},
          {"blank_lines", split.blank_lines},
          {"empty_records", split.empty},
          {"other_endings", split.other_endings},
          {"characters", distribution_json(split.characters)},
          {"graphemes", distribution_json(split.graphemes)},
          {"tokens", split.tokens ? tokens_json(*split.tokens) : Json()},
          {"with_link", split.habits.links},
          {"with_mention", split.habits.mentions},
          {"with_hashtag", split.habits.hashtags},
          {"with_emoji", split.habits.emojis},
          {"with_line_break", split.habits.line_breaks}};
}

// Numbers of the splits by their names.
Json by_split(const Report& report, const std::vector<std::int64_t>& numbers) {
  Json object = Json::object();
  for (std::size_t i = 0; i < numbers.size(); ++i) object[report.splits[i].name] = numbers[i];
  return object;
}

Json histogram_json(const Report& report, const Histogram& histogram) {
  if (histogram.bins() == 0) return {};
  Json bins = Json::array();
  for (std::size_t bin = 0; bin < histogram.bins(); ++bin) {
    std::vector<std::int64_t> counts;
    for (const auto& set : histogram.counts) counts.push_back(set[bin]);
    const bool open = histogram.open && bin + 1 == histogram.bins();
    bins.push_back({{"from", histogram.from(bin)},
                    {"to", open ? Json() : Json(histogram.from(bin + 1) - 1)},
                    {"records", by_split(report, counts)}});
  }
  return {{"bin_width", histogram.bin_width}, {"bins", bins}};
}

Json place_json(const Report& report, const RecordPlace& place) {
  return {{"file", report.splits[place.split].file}, {"line", place.line}};
}

Json repeats_json(const Report& report, const Repeats& repeats) {
  Json between = Json::array();
  for (std::size_t split = 0; split < report.splits.size(); ++split)
    for (std::size_t earlier = 0; earlier < split; ++earlier)
      between.push_back({{"split", report.splits[split].name},
                         {"earlier", report.splits[earlier].name},
                         {"records", repeats.between[split][earlier]}});
  Json examples = Json::array();
  for (const RepeatPair& pair : repeats.examples) {
    Json earlier = place_json(report, pair.earlier);
    earlier["text"] = pair.earlier_text;
    Json later = place_json(report, pair.later);
    later["text"] = pair.later_text;
    examples.push_back({{"earlier", earlier}, {"later", later}});
  }
  return {
      {"within", by_split(report, repeats.within)}, {"between", between}, {"examples", examples}};
}

Json counts_json(const Report& report, const TextCounts& counts) {
  if (counts.distinct == 0) return {};
  Json most = Json::array();
  for (const TextCount& one : counts.most)
    most.push_back({{"text", one.text}, {"records", by_split(report, one.counts)}});
  return {{"distinct", counts.distinct}, {"most", most}, {"other_records", counts.other}};
}

Json manifest_json(const std::optional<Manifest>& manifest) {
  if (!manifest) return {};
  Json sources = Json::array();
  for (const ManifestSource& source : manifest->sources)
    sources.push_back({{"kind", source.kind},
                       {"name", source.name},
                       {"weight", source.weight},
                       {"read", source.read},
                       {"taken", source.taken},
                       {"left_out", source.left_out},
                       {"noted", source.noted},
                       {"train_posts", source.train_posts},
                       {"train_records", source.train_records},
                       {"valid_posts", source.valid_posts}});
  Json settings = Json::object();
  for (const auto& [name, value] : manifest->settings) settings[name] = value;
  return {{"sources", sources}, {"settings", settings}};
}

Json sample_json(const Report& report, const Sample& sample) {
  Json object = place_json(report, sample.place);
  object["form"] = name_of(sample.form);
  Json turns = Json::array();
  for (const RecordTurn& turn : sample.turns)
    turns.push_back({{"role", turn.role}, {"text", turn.text}});
  object["turns"] = turns;
  object["graphemes"] = sample.graphemes;
  object["refused"] = sample.refused.empty() ? Json() : Json(sample.refused);
  Json tokens = Json::array();
  for (const TokenPiece& piece : sample.pieces)
    tokens.push_back(
        {{"text", piece.text}, {"ids", piece.ids}, {"trained", piece.trained}, {"cut", piece.cut}});
  object["tokens"] = sample.pieces.empty() ? Json() : tokens;
  return object;
}

Json warning_json(const Report& report, const Warning& warning) {
  Json places = Json::array();
  for (const RecordPlace& place : warning.places) places.push_back(place_json(report, place));
  return {{"level", warning.level == WarningLevel::kWarning ? "warning" : "note"},
          {"code", warning.code},
          {"text", warning.text},
          {"places", places}};
}

}  // namespace

nlohmann::ordered_json json_report(const Report& report) {
  Json object = {{"version", kVersion},
                 {"folder", report.folder},
                 {"model", report.model.empty() ? Json() : Json(report.model)},
                 {"prompt_form", report.model.empty() ? Json() : Json(report.prompt_form)},
                 {"max_seq_length", report.max_seq_length}};
  Json splits = Json::array();
  for (const SplitReport& split : report.splits) splits.push_back(split_json(split));
  Json samples = Json::array();
  for (const Sample& sample : report.samples) samples.push_back(sample_json(report, sample));
  Json warnings = Json::array();
  for (const Warning& warning : report.warnings) warnings.push_back(warning_json(report, warning));
  object["splits"] = splits;
  object["histograms"] = {{"characters", histogram_json(report, report.characters)},
                          {"graphemes", histogram_json(report, report.graphemes)},
                          {"tokens", histogram_json(report, report.tokens)}};
  object["exact_repeats"] = repeats_json(report, report.exact);
  object["near_repeats"] = repeats_json(report, report.near);
  object["prompts"] = counts_json(report, report.prompts);
  object["systems"] = counts_json(report, report.systems);
  object["languages"] = counts_json(report, report.languages);
  object["sources"] = counts_json(report, report.sources);
  object["manifest"] = manifest_json(report.manifest);
  object["samples"] = samples;
  object["warnings"] = warnings;
  return object;
}

}  // namespace bobby::inspection
