#include "cli/data_sources.h"

#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <system_error>

#include "app/options.h"
#include "app/suggest.h"
#include "cli/bluesky_source.h"
#include "data/plain_sources.h"
#include "data/twitter/twitter_archive.h"

namespace bobby::cli {
namespace {

namespace fs = std::filesystem;
using Opened = Result<std::unique_ptr<data::PostSource>>;

constexpr double kLeastWeight = 0.01;
constexpr double kMostWeight = 100;
constexpr std::size_t kMostSources = 1000;

Opened open_twitter(const std::string& path, const Settings& settings) {
  return data::open_twitter_archive(path, {.deleted = settings.flag(Opt::kDeleted)});
}

Opened open_jsonl(const std::string& path, const Settings& settings) {
  return data::open_jsonl(path);
}

Opened open_text(const std::string& path, const Settings& settings) {
  return data::open_text(
      path, settings.flag(Opt::kBlocks) ? data::TextPosts::kBlocks : data::TextPosts::kLines);
}

constexpr SourceKind kKinds[] = {
    {"twitter", "a Twitter archive, unpacked or as the .zip file it came in", open_twitter},
    {"bluesky", "an exported repository (a .car file), a handle or a DID", open_bluesky},
    {"jsonl", "a JSON Lines file in one of mlx-lm's forms", open_jsonl},
    {"text", "a text file, a post a line", open_text},
};

struct Place {
  std::string path;
  double weight = 1;
};

// "PATH:3" weighs 3, unless there is a file of that whole name.
Result<Place> parse_place(const std::string& text) {
  std::error_code status;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || fs::exists(text, status)) return Place{text};
  OptionSpec spec;
  spec.kind = OptionKind::kNumber;
  spec.min = kLeastWeight;
  spec.max = kMostWeight;
  const std::string weight = text.substr(colon + 1);
  const bool numeric =
      !weight.empty() && weight.find_first_not_of("0123456789.") == std::string::npos;
  if (!numeric) return Place{text};
  if (auto checked = check_value(spec, weight); !checked)
    return fail(std::move(checked).error().in(fmt::format("weight of {}", text.substr(0, colon))));
  return Place{text.substr(0, colon), number_value(weight)};
}

// "archive" of "./archive/" and "archive.zip" of "/home/me/archive.zip".
std::string last_name(const std::string& path) {
  std::error_code status;
  const fs::path whole = fs::exists(path, status) ? fs::canonical(path, status) : fs::path(path);
  return whole.filename().empty() ? path : whole.filename().string();
}

Result<const SourceKind*> find_kind(const std::string& name) {
  std::vector<std::string> known;
  for (const SourceKind& kind : kKinds) {
    if (kind.name == name) return &kind;
    known.emplace_back(kind.name);
  }
  return fail({.code = ErrorCode::kUsage,
               .where = fmt::format("\"{}\"", name),
               .problem = "is no kind of source",
               .expected = fmt::format("one of {}", fmt::join(known, ", ")),
               .hint = did_you_mean(name, known)});
}

Result<data::ImportSource> open_one(const SourceKind& kind, const std::string& text,
                                    const Settings& settings) {
  BOBBY_TRY(const Place place, parse_place(text));
  BOBBY_TRY(auto source, kind.open(place.path, settings));
  return data::ImportSource{.kind = std::string(kind.name),
                            .name = last_name(place.path),
                            .weight = place.weight,
                            .source = std::move(source)};
}

}  // namespace

std::span<const SourceKind> source_kinds() {
  return kKinds;
}

Result<std::vector<data::ImportSource>> open_sources(const std::vector<std::string>& arguments,
                                                     const Settings& settings) {
  std::vector<std::pair<const SourceKind*, std::string>> asked;
  if (!arguments.empty()) {
    BOBBY_TRY(const SourceKind* kind, find_kind(arguments.front()));
    if (arguments.size() == 1)
      return fail({.code = ErrorCode::kUsage,
                   .where = arguments.front(),
                   .problem = "needs the path of what to read",
                   .expected = std::string(kind->what)});
    for (std::size_t i = 1; i < arguments.size(); ++i) asked.emplace_back(kind, arguments[i]);
  }
  if (settings.given(Opt::kSource))
    for (const std::string& text : settings.texts(Opt::kSource)) {
      const std::size_t colon = text.find(':');
      if (colon == std::string::npos || colon + 1 == text.size())
        return fail({.code = ErrorCode::kUsage,
                     .where = fmt::format("--source {}", text),
                     .problem = "is not a source",
                     .expected = "KIND:PATH or KIND:PATH:WEIGHT"});
      auto kind = find_kind(text.substr(0, colon));
      if (!kind) return fail(std::move(kind).error().in("--source"));
      asked.emplace_back(*kind, text.substr(colon + 1));
    }
  if (asked.empty())
    return fail({.code = ErrorCode::kUsage,
                 .problem = "there is nothing to import",
                 .hint = "`bobby data import --help` has examples"});
  if (asked.size() > kMostSources)
    return fail(
        {.code = ErrorCode::kUsage,
         .problem = fmt::format("more than {} sources are too many for one run", kMostSources)});
  std::vector<data::ImportSource> sources;
  for (const auto& [kind, text] : asked) {
    BOBBY_TRY(auto source, open_one(*kind, text, settings));
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace bobby::cli
