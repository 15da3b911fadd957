// bobby data import: archives of a person's posts become a dataset to train on.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

#include "base/output_folder.h"
#include "cli/command.h"
#include "cli/data_sources.h"
#include "cli/measure.h"
#include "cli/signals.h"
#include "data/dataset_writer.h"
#include "data/import.h"
#include "data/lines.h"
#include "voice/prompt_form.h"

namespace bobby::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostPromptBytes = 10000;

Result<std::vector<std::string>> read_prompts(const std::string& path) {
  std::vector<std::string> prompts;
  BOBBY_TRY(const auto stream, data::open_file(path));
  data::LineReader lines(*stream, kMostPromptBytes);
  for (;;) {
    auto line = lines.next();
    if (!line) return fail(std::move(line).error().in(path));
    if (!*line) break;
    if ((*line)->find_first_not_of(" \t") != std::string_view::npos) prompts.emplace_back(**line);
  }
  if (prompts.empty())
    return fail({.code = ErrorCode::kMalformed, .where = path, .problem = "holds no prompt"});
  return prompts;
}

Result<std::vector<std::string>> prompts_of(const Settings& settings) {
  std::vector<std::string> prompts;
  if (settings.given(Opt::kImportPrompt)) prompts = settings.texts(Opt::kImportPrompt);
  if (settings.given(Opt::kPromptsFile)) {
    BOBBY_TRY(const auto more, read_prompts(settings.text(Opt::kPromptsFile)));
    prompts.insert(prompts.end(), more.begin(), more.end());
  }
  if (prompts.empty()) prompts.emplace_back(option(Opt::kPrompt).default_text);
  for (const std::string& prompt : prompts)
    for (const PromptForm& form : prompt_forms())
      BOBBY_CHECK(check_free_of_markers(form, "prompt", prompt));
  return prompts;
}

Result<data::ImportOptions> import_options(const Settings& settings) {
  data::ImportOptions options;
  options.filter.min_chars = settings.integer(Opt::kImportMinChars);
  options.filter.max_chars = settings.integer(Opt::kImportMaxChars);
  options.filter.replies = settings.flag(Opt::kReplies);
  options.filter.quotes = settings.flag(Opt::kQuotes);
  const std::string& links = settings.text(Opt::kLinks);
  options.filter.links = links == "keep"   ? data::LinkRule::kKeep
                         : links == "skip" ? data::LinkRule::kSkip
                                           : data::LinkRule::kDrop;
  if (settings.given(Opt::kLanguage)) options.filter.languages = settings.texts(Opt::kLanguage);
  options.keep_duplicates = settings.flag(Opt::kKeepDuplicates);
  options.near = settings.number(Opt::kNear);
  options.selection = {.valid = settings.number(Opt::kValid),
                       .seed = static_cast<std::uint64_t>(settings.integer(Opt::kImportSeed))};
  if (settings.given(Opt::kImportSystem)) options.system = settings.text(Opt::kImportSystem);
  BOBBY_TRY(options.prompts, prompts_of(settings));
  return options;
}

Result<OutputFolder> output_folder(const Settings& settings) {
  if (!settings.given(Opt::kOut))
    return fail({.code = ErrorCode::kUsage,
                 .where = "--out",
                 .problem = "is missing",
                 .hint = "name the folder that is to be made"});
  const fs::path folder = settings.text(Opt::kOut);
  if (settings.flag(Opt::kForce)) {
    BOBBY_CHECK(data::check_replaceable(folder));
    return OutputFolder::create(folder, OutputFolder::Existing::kReplace);
  }
  auto made = OutputFolder::create(folder);
  if (!made && made.error().code == ErrorCode::kUsage) {
    Error error = std::move(made).error();
    error.hint = "--force replaces it, or name another folder";
    return fail(std::move(error));
  }
  return made;
}

void note_counts(const std::map<std::string, std::uint64_t>& counts, Console& console) {
  std::vector<std::pair<std::uint64_t, std::string>> sorted;
  for (const auto& [what, count] : counts) sorted.emplace_back(count, what);
  std::ranges::sort(sorted, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (const auto& [count, what] : sorted) console.note(fmt::format("{:>10}  {}", count, what));
}

void note_report(const data::ImportReport& report, Console& console) {
  for (const data::SourceOutcome& source : report.sources) {
    const data::SourceCounts& counts = source.report.counts;
    console.note(fmt::format("{} {}: {} posts read, {} taken{}", source.kind, source.name,
                             counts.read, counts.taken,
                             counts.left_out.empty() ? "" : "; left out:"));
    note_counts(counts.left_out, console);
    if (!counts.noted.empty()) console.note("  and on the way:");
    note_counts(counts.noted, console);
  }
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  const Stopwatch time;
  BOBBY_TRY(const data::ImportOptions options, import_options(settings));
  BOBBY_TRY(const auto sources, open_sources(invocation.arguments, settings));
  let_work_end();  // the half-written folder goes, however long the rest takes to be put away
  BOBBY_TRY(OutputFolder folder, output_folder(settings));
  BOBBY_TRY(const data::ImportReport report,
            data::import_posts(sources, options, folder.path(), console.progress()));
  BOBBY_CHECK(folder.commit());
  console.end_progress();
  const std::string& out = settings.text(Opt::kOut);
  if (console.json()) {
    nlohmann::ordered_json object = {{"folder", out}};
    object.update(data::manifest_json(report, options));
    console.print_json(object);
    return kDone;
  }
  note_report(report, console);
  std::uint64_t train_posts = 0;
  for (const data::SourceOutcome& source : report.sources) train_posts += source.train_posts;
  console.note(fmt::format(
      "{}: {} posts to train on ({} records), {} to validate with, in {:.1f} s", out, train_posts,
      report.files[0].records, report.files[1].records, time.milliseconds() / 1e3));
  console.detail(fmt::format("peak memory {:.0f} MB", static_cast<double>(peak_rss_bytes()) / 1e6));
  return kDone;
}

constexpr Argument kArguments[] = {
    {"KIND", false, "twitter, bluesky, jsonl or text; --source names several kinds at once"},
    {"PATH", false, "What to read, PATH[:WEIGHT]; of bluesky also a handle or a DID", true},
};
constexpr Opt kOptions[] = {
    Opt::kOut,
    Opt::kForce,
    Opt::kSource,
    Opt::kReplies,
    Opt::kQuotes,
    Opt::kDeleted,
    Opt::kBlocks,
    Opt::kImportMinChars,
    Opt::kImportMaxChars,
    Opt::kLinks,
    Opt::kLanguage,
    Opt::kKeepDuplicates,
    Opt::kNear,
    Opt::kImportPrompt,
    Opt::kPromptsFile,
    Opt::kImportSystem,
    Opt::kValid,
    Opt::kImportSeed,
    Opt::kService,
    Opt::kPlc,
};
constexpr Example kExamples[] = {
    {"bobby data import twitter twitter-archive.zip --out ./data",
     "a dataset of one's own posts, and how many were left out for which reason"},
    {"bobby data import bluesky alice.example --out ./data",
     "what an account's server lists of its posts; a .car file works without the network"},
    {"bobby data import --source twitter:archive.zip --source jsonl:posts.jsonl:3 --out ./data",
     "two sources; each post of the second is trained on three times"},
    {"bobby data import text posts.txt --prompts prompts.txt --valid 50 --seed 7 --out ./data",
     "prompts drawn from a list, fifty posts kept for validation"},
};

}  // namespace

const Command kDataImport = {
    .group = "data",
    .name = "import",
    .summary = "turn archives of one's own posts into a dataset",
    .description =
        "Reads posts from a Twitter archive, a Bluesky account or its exported repository, JSON "
        "Lines or text, leaves out what is not one's own words or says the same again, and writes "
        "train.jsonl and valid.jsonl in mlx-lm's chat form, with a manifest.json that counts what "
        "was taken and why the rest was not. The same command writes the same bytes. No post "
        "leaves "
        "the machine; the network is asked only for a Bluesky handle or DID.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
