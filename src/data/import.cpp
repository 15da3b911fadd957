#include "data/import.h"

#include <algorithm>
#include <fmt/format.h>
#include <simdjson.h>

#include "base/hashing.h"
#include "data/dataset_writer.h"
#include "data/duplicates.h"
#include "data/record_spool.h"
#include "voice/utf8.h"

namespace bobby::data {
namespace {

constexpr char kBetween = '\0';  // no tidy text holds it

// Posts that passed the filters, on disk, with what is needed of each in memory.
class PostStore {
 public:
  static Result<PostStore> create(const std::filesystem::path& folder, double near) {
    BOBBY_TRY(RecordSpool spool, RecordSpool::create(folder));
    BOBBY_TRY(DuplicateFinder finder, DuplicateFinder::create(folder, near));
    return PostStore(std::move(spool), std::move(finder));
  }

  Result<void> add(std::uint16_t source, const SourcePost& post) {
    sources_.push_back(source);
    hashes_.push_back(text_hash(post.text));
    BOBBY_CHECK(finder_.add(post.text));
    return spool_.append(post.text + kBetween + post.prompt);
  }

  std::size_t size() const { return sources_.size(); }
  std::uint16_t source(std::size_t post) const { return sources_[post]; }
  std::uint64_t hash(std::size_t post) const { return hashes_[post]; }

  /// Text and the prompt that it brought.
  Result<std::pair<std::string, std::string>> read(std::size_t post) {
    BOBBY_TRY(std::string record, spool_.read(post));
    const std::size_t between = record.find(kBetween);
    std::string prompt = record.substr(between + 1);
    record.resize(between);
    return std::pair(std::move(record), std::move(prompt));
  }

  Result<DuplicateGroups> groups(const ProgressFn& progress) {
    const auto text_of = [this](std::size_t post) -> Result<std::string> {
      BOBBY_TRY(auto both, read(post));
      return std::move(both.first);
    };
    return finder_.groups(text_of, progress);
  }

 private:
  PostStore(RecordSpool spool, DuplicateFinder finder)
      : spool_(std::move(spool)), finder_(std::move(finder)) {}

  RecordSpool spool_;
  DuplicateFinder finder_;
  std::vector<std::uint16_t> sources_;
  std::vector<std::uint64_t> hashes_;
};

Result<void> read_source(const ImportSource& from, std::uint16_t number, const PostFilter& filter,
                         const ReadContext& context, PostStore& store, SourceReport& report) {
  const PostSink sink = [&](SourcePost post) -> Result<void> {
    for (std::string* text : {&post.text, &post.prompt})
      if (!simdjson::validate_utf8(text->data(), text->size())) *text = repair_utf8(*text);
    std::uint64_t dropped_links = 0;
    if (const auto reason = filter.apply(post, dropped_links)) {
      report.counts.leave_out(*reason);
      return {};
    }
    if (dropped_links > 0) report.counts.noted["links dropped"] += dropped_links;
    return store.add(number, post);
  };
  return from.source->read(sink, report, context);
}

// Of a group the post whose source weighs most stays, the first of those.
std::vector<ChosenPost> choose(const PostStore& store, const DuplicateGroups& groups,
                               bool keep_duplicates, ImportReport& report) {
  std::vector<std::uint32_t> best = groups.near;
  const auto weight = [&](std::uint32_t post) { return report.sources[store.source(post)].weight; };
  for (std::uint32_t post = 0; post < store.size(); ++post)
    if (std::uint32_t& stays = best[groups.near[post]]; weight(post) > weight(stays)) stays = post;
  std::vector<ChosenPost> chosen;
  for (std::uint32_t post = 0; post < store.size(); ++post) {
    SourceCounts& counts = report.sources[store.source(post)].report.counts;
    const std::uint32_t group = groups.near[post];
    const std::uint32_t stays = best[group];
    if (!keep_duplicates && stays != post) {
      counts.leave_out(groups.same[post] == groups.same[stays] ? "the same as another post"
                                                               : "nearly the same as another post");
      continue;
    }
    ++counts.taken;
    chosen.push_back(
        {.post = post, .group = group, .hash = store.hash(post), .weight = weight(post)});
  }
  return chosen;
}

Error nothing_left(const ImportReport& report) {
  std::uint64_t read = 0;
  std::map<std::string, std::uint64_t> reasons;
  for (const SourceOutcome& source : report.sources) {
    read += source.report.counts.read;
    for (const auto& [reason, count] : source.report.counts.left_out) reasons[reason] += count;
  }
  std::string found = fmt::format("{} posts", read);
  for (const auto& [reason, count] : reasons) found += fmt::format("; {}: {}", reason, count);
  return {.code = ErrorCode::kNotFound,
          .problem = "no post is left to train on",
          .found = std::move(found)};
}

Result<DatasetFile> write_records(const std::string& name, std::span<const Record> records,
                                  std::span<const ChosenPost> chosen, const ImportOptions& options,
                                  PostStore& store, DatasetWriter& writer) {
  BOBBY_CHECK(writer.begin(name));
  for (const Record& record : records) {
    const ChosenPost& post = chosen[record.chosen];
    BOBBY_TRY(auto both, store.read(post.post));
    auto& [text, prompt] = both;
    if (prompt.empty())
      prompt = drawn_prompt(options.prompts, options.selection.seed, post.hash, record.copy);
    BOBBY_CHECK(writer.write({.system = options.system, .prompt = prompt, .text = text}));
  }
  return writer.finish();
}

void count_records(const Selection& selection, std::span<const ChosenPost> chosen,
                   const PostStore& store, ImportReport& report) {
  for (const Record& record : selection.train) {
    SourceOutcome& source = report.sources[store.source(chosen[record.chosen].post)];
    ++source.train_records;
    if (record.copy == 0) ++source.train_posts;
  }
  for (const Record& record : selection.valid)
    ++report.sources[store.source(chosen[record.chosen].post)].valid_posts;
}

}  // namespace

Result<ImportReport> import_posts(std::span<const ImportSource> sources,
                                  const ImportOptions& options, const std::filesystem::path& folder,
                                  const ProgressFn& progress) {
  BOBBY_TRY(PostStore store, PostStore::create(folder, options.near));
  const PostFilter filter(options.filter);
  const ReadContext context{.progress = progress, .temporary_folder = folder};
  ImportReport report;
  for (const ImportSource& from : sources) {
    const auto number = static_cast<std::uint16_t>(report.sources.size());
    report.sources.push_back(
        {.kind = from.kind, .name = from.name, .weight = from.weight, .report = {}});
    BOBBY_CHECK(read_source(from, number, filter, context, store, report.sources.back().report));
  }
  BOBBY_TRY(const DuplicateGroups groups, store.groups(progress));
  const std::vector<ChosenPost> chosen = choose(store, groups, options.keep_duplicates, report);
  if (chosen.empty()) return fail(nothing_left(report));
  const Selection selection = select_records(chosen, options.selection);
  count_records(selection, chosen, store, report);

  DatasetWriter writer(folder, selection.train.size() + selection.valid.size(), progress);
  for (const auto& [name, records] :
       {std::pair{"train.jsonl", &selection.train}, std::pair{"valid.jsonl", &selection.valid}}) {
    BOBBY_TRY(DatasetFile file, write_records(name, *records, chosen, options, store, writer));
    report.files.push_back(std::move(file));
  }
  BOBBY_CHECK(write_manifest(folder, report, options));
  return report;
}

}  // namespace bobby::data
