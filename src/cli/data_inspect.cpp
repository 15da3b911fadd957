// bobby data inspect: what a training set holds, before anything is trained on it.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/page_file.h"
#include "cli/pull_view.h"
#include "cli/record_tokens.h"
#include "data/inspect/html_report.h"
#include "data/inspect/inspect.h"
#include "data/inspect/json_report.h"
#include "data/inspect/text_report.h"

namespace bobby::cli {
namespace {

bool is_given(const Settings& settings, Opt id) {
  return settings.setting(id).origin != Setting().origin;
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  inspection::InspectOptions options = {
      .max_seq_length = settings.integer(Opt::kInspectMaxSeqLength),
      .samples = settings.integer(Opt::kSamples),
      .progress = console.progress()};
  if (is_given(settings, Opt::kModel)) {
    BOBBY_TRY(options.tokens, make_token_source(settings, pull_view(console, settings)));
  }
  BOBBY_TRY(const inspection::Report report,
            inspection::inspect_folder(invocation.arguments.front(), options));
  console.end_progress();
  if (settings.given(Opt::kHtml)) {
    BOBBY_CHECK(write_page(settings.text(Opt::kHtml), inspection::html_report(report)));
  }
  if (console.json())
    console.print_json(inspection::json_report(report));
  else
    console.print_bytes(inspection::text_report(
        report, {.colour = console.stdout_colour(), .width = console.stdout_width()}));
  if (settings.given(Opt::kHtml))
    console.note(fmt::format("the page is in {}", settings.text(Opt::kHtml)));
  return kDone;
}

constexpr Argument kArguments[] = {
    {"DIR", true, "Folder with train.jsonl, valid.jsonl, test.jsonl, those that there are"}};
constexpr Opt kOptions[] = {Opt::kHtml, Opt::kSamples, Opt::kInspectMaxSeqLength, Opt::kPromptForm};
constexpr Example kExamples[] = {
    {"bobby data inspect ./data", "lengths, repeats, what is in both splits, samples"},
    {"bobby data inspect ./data --model ./Qwen3-8B-MLX-4bit --max-seq-length 256",
     "also in tokens: what is cut, what padding costs, what of each sample is learned"},
    {"bobby data inspect ./data --html data.html", "the same as a page to look at or to show"},
    {"bobby data inspect ./data --json", "all numbers, under names that stay"},
};

}  // namespace

const Command kDataInspect = {
    .group = "data",
    .name = "inspect",
    .summary = "show what a set of posts holds, and what looks wrong in it",
    .description =
        "Reads the JSONL files of a training set, in any of mlx-lm's four forms, and shows "
        "lengths, repeats and what stands in several splits, prompts, where posts came from, "
        "samples, and in words what looks wrong. With --model lengths are in tokens too, and "
        "samples show token by token what the loss is taken over, the prompt being masked.",
    .arguments = kArguments,
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
