#include "data/inspect/inspect.h"

#include <fmt/format.h>

#include "data/inspect/manifest.h"
#include "data/inspect/measure.h"
#include "data/inspect/repeats.h"
#include "data/inspect/samples.h"
#include "data/inspect/warnings.h"

namespace bobby::inspection {
namespace {

constexpr std::string_view kSplits[] = {"train", "valid", "test"};
constexpr std::size_t kMostPrompts = 30;
constexpr std::size_t kHistogramBins = 40;
constexpr std::int64_t kPostLimit = 300;  // Bluesky's, which the plots mark

std::vector<std::vector<std::int64_t>> collect(std::vector<Measured>& measured,
                                               std::vector<std::int64_t> Measured::*which) {
  std::vector<std::vector<std::int64_t>> sets;
  for (Measured& one : measured) sets.push_back(std::move(one.*which));
  return sets;
}

void count_everything(const std::vector<DataFile>& files, Report& report) {
  report.prompts = count_texts(files, kMostPrompts, &DataRecord::prompt);
  report.systems = count_texts(files, kMostPrompts, &DataRecord::system);
  report.languages = count_texts(files, kMostPrompts, [](const DataRecord& record) {
    return std::string_view(record.language);
  });
  report.sources = count_texts(files, kMostPrompts, [](const DataRecord& record) {
    return std::string_view(record.source);
  });
}

// Where the weights ask for every repeat of train.jsonl there is none to be shown.
void forget_asked_repeats(Report& report) {
  const std::int64_t asked = report.asked_repeats();
  std::erase_if(report.exact.examples, [&](const RepeatPair& pair) {
    const std::size_t split = pair.later.split;
    return report.splits[split].name == "train" && asked == report.exact.within[split];
  });
}

// Everything but the warnings, which look at the manifest, too.
Result<std::vector<Measured>> fill(const std::vector<DataFile>& files,
                                   const InspectOptions& options, Report& report) {
  report.model = options.tokens.model;
  report.prompt_form = options.tokens.prompt_form;
  report.max_seq_length = options.max_seq_length;
  std::vector<Measured> measured;
  for (const DataFile& file : files) {
    measured.push_back(measure(file, options));
    report.splits.push_back(measured.back().split);
  }
  report.characters =
      make_histogram(collect(measured, &Measured::characters), kHistogramBins, kPostLimit);
  report.graphemes =
      make_histogram(collect(measured, &Measured::graphemes), kHistogramBins, kPostLimit);
  if (options.tokens)
    report.tokens = make_histogram(collect(measured, &Measured::tokens), kHistogramBins,
                                   options.max_seq_length);
  BOBBY_TRY(AllRepeats repeats, find_repeats(files, options.progress));
  report.exact = std::move(repeats.exact);
  report.near = std::move(repeats.near);
  forget_asked_repeats(report);
  count_everything(files, report);
  report.samples = draw_samples(files, options);
  return measured;
}

}  // namespace

Result<Report> inspect_files(const std::vector<DataFile>& files, const InspectOptions& options) {
  Report report;
  BOBBY_TRY(const std::vector<Measured> measured, fill(files, options, report));
  report.warnings = find_warnings(report, measured);
  return report;
}

Result<Report> inspect_folder(const std::filesystem::path& folder, const InspectOptions& options) {
  std::error_code status;
  if (!std::filesystem::is_directory(folder, status))
    return fail({.code = ErrorCode::kNotFound,
                 .where = folder.string(),
                 .problem = "is not a folder",
                 .hint = "name the folder that holds train.jsonl and valid.jsonl"});
  std::vector<DataFile> files;
  std::vector<Error> problems;
  for (const std::string_view split : kSplits) {
    const auto file = folder / fmt::format("{}.jsonl", split);
    if (!std::filesystem::exists(file, status)) continue;
    auto data = read_data_file(file);
    if (data)
      files.push_back(*std::move(data));
    else
      problems.push_back(std::move(data).error());
  }
  if (!problems.empty()) return tl::unexpected<Error>(join_errors(std::move(problems)));
  if (files.empty())
    return fail({.code = ErrorCode::kNotFound,
                 .where = folder.string(),
                 .problem = "holds neither train.jsonl nor valid.jsonl",
                 .hint = "`bobby data import` writes them"});
  Report report;
  report.folder = folder.string();
  report.name = std::filesystem::weakly_canonical(folder, status).filename().string();
  BOBBY_TRY(report.manifest, read_manifest(folder));
  BOBBY_TRY(const std::vector<Measured> measured, fill(files, options, report));
  report.warnings = find_warnings(report, measured);
  return report;
}

}  // namespace bobby::inspection
