#include "data/inspect/html_report.h"

#include "data/inspect/html_page.h"
#include "data/inspect/html_parts.h"

namespace bobby::inspection {
namespace {

std::vector<PageSection> sections(const Report& report) {
  return {{"lengths", "Lengths", lengths_section(report)},
          {"tokens", "Tokens", tokens_section(report)},
          {"contents", "Habits", contents_section(report)},
          {"origin", "Where from", origin_section(report)},
          {"prompts", "Prompts", prompts_section(report)},
          {"repeats", "Said twice", repeats_section(report)},
          {"samples", "Samples", samples_section(report)}};
}

}  // namespace

std::string html_report(const Report& report) {
  return html_page({.title = report.name,
                    .opening = summary_section(report) + warnings_section(report),
                    .sections = sections(report),
                    .footer = "Made by <code>bobby data inspect</code>. This page holds texts of "
                              "the training set; it loads nothing and sends nothing."});
}

}  // namespace bobby::inspection
