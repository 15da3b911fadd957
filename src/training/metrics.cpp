#include "training/metrics.h"

#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>

#include "training/event_file.h"
#include "training/loss_plot.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::string_view kLines = "metrics.jsonl";
constexpr std::string_view kTable = "metrics.csv";
constexpr std::string_view kSamples = "samples.jsonl";
constexpr std::string_view kEvents = "events.out.tfevents.bobby";
constexpr std::string_view kTableHead =
    "iteration,train_loss,val_loss,tokens,learning_rate,tok_s\n";

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string number_or_nothing(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "";
}

std::string table_line(const MetricsRow& row) {
  return fmt::format("{},{},{},{},{},{:.1f}\n", row.iteration, number_or_nothing(row.train_loss),
                     number_or_nothing(row.val_loss), row.tokens, row.learning_rate, row.tok_s);
}

std::string event_of(const MetricsRow& row) {
  std::vector<EventScalar> scalars;
  if (row.train_loss) {
    scalars.push_back({"loss/train", static_cast<float>(*row.train_loss)});
    scalars.push_back({"learning_rate", static_cast<float>(row.learning_rate)});
    scalars.push_back({"tokens_per_second", static_cast<float>(row.tok_s)});
  }
  if (row.val_loss) scalars.push_back({"loss/validation", static_cast<float>(*row.val_loss)});
  return event_record(seconds_since_1970(), row.iteration, scalars);
}

std::optional<double> loss_in(const Json& json, const char* key) {
  if (const auto found = json.find(key); found != json.end() && found->is_number())
    return found->get<double>();
  return std::nullopt;
}

}  // namespace

std::string metrics_json(const MetricsRow& row) {
  Json json;
  json["iteration"] = row.iteration;
  if (row.train_loss) json["train_loss"] = *row.train_loss;
  if (row.val_loss) json["val_loss"] = *row.val_loss;
  json["tokens"] = row.tokens;
  json["learning_rate"] = row.learning_rate;
  json["tok_s"] = row.tok_s;
  return json.dump();
}

Result<MetricsRow> parse_metrics_json(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  MetricsRow row;
  const auto number = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_number() ? &*found : nullptr;
  };
  const Json* iteration = json.is_object() ? number("iteration") : nullptr;
  if (iteration == nullptr)
    return fail({.code = ErrorCode::kMalformed, .problem = "is not a report of a training run"});
  row.iteration = iteration->get<std::int64_t>();
  row.train_loss = loss_in(json, "train_loss");
  row.val_loss = loss_in(json, "val_loss");
  if (const Json* tokens = number("tokens")) row.tokens = tokens->get<std::int64_t>();
  if (const Json* rate = number("learning_rate")) row.learning_rate = rate->get<double>();
  if (const Json* speed = number("tok_s")) row.tok_s = speed->get<double>();
  return row;
}

std::string sample_json(const SampleText& sample) {
  const Json json = {{"iteration", sample.iteration},
                     {"prompt", sample.prompt},
                     {"seed", sample.seed},
                     {"text", sample.text}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<MetricsFiles> MetricsFiles::open(const fs::path& folder, const MetricsPosition& position) {
  MetricsFiles files(folder);
  for (const std::string_view name : {kLines, kTable, kSamples, kEvents}) {
    const auto at = position.find(std::string(name));
    BOBBY_TRY(AppendFile file,
              AppendFile::open(folder / name, at == position.end() ? 0 : at->second));
    files.files_.emplace(name, std::move(file));
  }
  std::ifstream lines(folder / kLines, std::ios::binary);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    auto row = parse_metrics_json(line);
    ++number;
    if (!row)
      return fail(
          std::move(row).error().in(fmt::format("{}:{}", (folder / kLines).string(), number)));
    files.rows_.push_back(*std::move(row));
  }
  BOBBY_CHECK(files.begin());
  return files;
}

Result<void> MetricsFiles::begin() {
  if (file(kTable).size() == 0) BOBBY_CHECK(file(kTable).append(kTableHead));
  if (file(kEvents).size() == 0)
    BOBBY_CHECK(file(kEvents).append(event_file_header(seconds_since_1970())));
  return {};
}

Result<void> MetricsFiles::add(const MetricsRow& row) {
  rows_.push_back(row);
  BOBBY_CHECK(file(kLines).append(metrics_json(row) + "\n"));
  BOBBY_CHECK(file(kTable).append(table_line(row)));
  return file(kEvents).append(event_of(row));
}

Result<void> MetricsFiles::add(const SampleText& sample) {
  BOBBY_CHECK(file(kSamples).append(sample_json(sample) + "\n"));
  const std::string text = fmt::format("{}\n\n> {}", sample.prompt, sample.text);
  return file(kEvents).append(event_text_record(seconds_since_1970(), sample.iteration,
                                                fmt::format("sample/{}", sample.seed), text));
}

Result<void> MetricsFiles::draw() {
  return write_file_durably(folder_ / "loss.svg", loss_plot_svg(rows_));
}

Result<void> MetricsFiles::sync() {
  for (auto& [name, opened] : files_) BOBBY_CHECK(opened.sync());
  return {};
}

MetricsPosition MetricsFiles::position() const {
  MetricsPosition position;
  for (const auto& [name, opened] : files_) position[name] = opened.size();
  return position;
}

}  // namespace bobby
