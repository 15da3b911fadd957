// What looks wrong, in words that say what it means for training.

#include "data/inspect/warnings.h"

#include <algorithm>
#include <fmt/format.h>

#include "data/inspect/words.h"

namespace bobby::inspection {
namespace {

// Below these a person is told; each is a judgement about posts, not a limit of the program.
constexpr std::int64_t kFewToLearn = 100;  // a voice is carried by hundreds of posts
constexpr std::int64_t kFewToCheck = 20;   // a mean loss over fewer moves with each record
constexpr double kManyLinks = 0.05;        // a voice that invents addresses
constexpr double kManyRepeats = 0.02;
constexpr double kManyCut = 0.01;
constexpr double kMuchPadding = 0.25;
constexpr std::size_t kPlaces = 5;

class Finder {
 public:
  Finder(const Report& report, const std::vector<Measured>& measured)
      : report_(report), measured_(measured) {}

  std::vector<Warning> find() {
    splits();
    leakage();
    for (std::size_t split = 0; split < measured_.size(); ++split) {
      forms(split);
      tokens(split);
      repeats(split);
      habits(split);
    }
    padding();
    manifest();
    std::ranges::stable_sort(found_, std::greater(), &Warning::level);
    return std::move(found_);
  }

 private:
  using Lines = std::vector<std::int64_t>;

  void add(WarningLevel level, std::string_view code, std::string text,
           std::vector<RecordPlace> places = {}) {
    found_.push_back({level, std::string(code), std::move(text), std::move(places)});
  }
  void warn(std::string_view code, std::string text, std::vector<RecordPlace> places = {}) {
    add(WarningLevel::kWarning, code, std::move(text), std::move(places));
  }
  void note(std::string_view code, std::string text, std::vector<RecordPlace> places = {}) {
    add(WarningLevel::kNote, code, std::move(text), std::move(places));
  }

  static std::vector<RecordPlace> places(std::size_t split, const Lines& lines) {
    std::vector<RecordPlace> places;
    for (std::size_t i = 0; i < std::min(lines.size(), kPlaces); ++i)
      places.push_back({split, lines[i]});
    return places;
  }

  const SplitReport* split_named(std::string_view name) const {
    for (const SplitReport& split : report_.splits)
      if (split.name == name) return &split;
    return nullptr;
  }

  static std::string are(std::int64_t count) { return count == 1 ? "is" : "are"; }
  static std::string have(std::int64_t count) { return count == 1 ? "has" : "have"; }

  void splits() {
    const SplitReport* train = split_named("train");
    const SplitReport* valid = split_named("valid");
    if (train == nullptr) warn("no_train", "There is no train.jsonl: nothing can be learned.");
    if (valid == nullptr)
      warn("no_valid",
           "There is no valid.jsonl: nothing is held out, so nothing tells when to stop.");
    if (train != nullptr && train->records < kFewToLearn)
      warn("few_records", fmt::format("train.jsonl has {}: a voice usually needs some hundreds.",
                                      count_of(train->records, "record")));
    if (valid != nullptr && valid->records < kFewToCheck)
      warn("few_valid", fmt::format("valid.jsonl has {}: a loss over so few says little.",
                                    count_of(valid->records, "record")));
  }

  std::vector<RecordPlace> places_between(const Repeats& repeats, std::size_t split,
                                          std::size_t earlier) const {
    std::vector<RecordPlace> places;
    for (const RepeatPair& pair : repeats.examples)
      if (pair.later.split == split && pair.earlier.split == earlier && places.size() < kPlaces)
        places.push_back(pair.later);
    return places;
  }

  void leakage() {
    for (std::size_t split = 0; split < report_.splits.size(); ++split)
      for (std::size_t earlier = 0; earlier < split; ++earlier) {
        const std::string both =
            fmt::format("{} and {}", report_.splits[earlier].file, report_.splits[split].file);
        if (const std::int64_t count = report_.exact.between[split][earlier]; count > 0)
          warn("leak_exact",
               fmt::format("{} {} in both {}: what is learned by heart is then judged as skill.",
                           count_of(count, "record"), are(count), both),
               places_between(report_.exact, split, earlier));
        if (const std::int64_t count = report_.near.between[split][earlier]; count > 0)
          warn("leak_near",
               fmt::format("{} {} nearly the same in both {}.", count_of(count, "record"),
                           are(count), both),
               places_between(report_.near, split, earlier));
      }
  }

  void forms(std::size_t split) {
    const SplitReport& found = report_.splits[split];
    if (found.forms.size() > 1)
      warn("mixed_forms", fmt::format("{} has records of {} forms; mlx-lm reads all of them as it "
                                      "reads the first.",
                                      found.file, found.forms.size()));
    if (found.empty > 0)
      warn("empty",
           fmt::format("{} of {} {} nothing to learn: the answer is empty.",
                       count_of(found.empty, "record"), found.file, have(found.empty)),
           places(split, measured_[split].empty_lines));
    if (found.other_endings > 0)
      warn("other_ending",
           fmt::format("{} of {} {} not end with the assistant's turn: the last turn is learned, "
                       "whoever's it is.",
                       count_of(found.other_endings, "record"), found.file,
                       found.other_endings == 1 ? "does" : "do"),
           places(split, measured_[split].ending_lines));
    if (found.blank_lines > 0)
      note("blank_lines", fmt::format("{} has {}, which mlx-lm refuses.", found.file,
                                      count_of(found.blank_lines, "blank line")));
  }

  void tokens(std::size_t split) {
    const SplitReport& found = report_.splits[split];
    if (!found.tokens) return;
    const TokenReport& tokens = *found.tokens;
    const Measured& measured = measured_[split];
    if (tokens.refused > 0)
      warn("refused",
           fmt::format("{} of {} cannot be trained on. The first: {}",
                       count_of(tokens.refused, "record"), found.file, measured.refusal),
           places(split, measured.refused_lines));
    if (tokens.untrained > 0)
      warn("untrained",
           fmt::format("The prompt is masked: 0 tokens are trained in {} of {}.",
                       count_of(tokens.untrained, "record"), found.file),
           places(split, measured.untrained_lines));
    if (tokens.cut_records > 0)
      add(static_cast<double>(tokens.cut_records) > kManyCut * static_cast<double>(found.records)
              ? WarningLevel::kWarning
              : WarningLevel::kNote,
          "cut",
          fmt::format("{} of {} are cut at {} tokens ({}): what comes after is not learned.",
                      percent(static_cast<double>(tokens.cut_records),
                              static_cast<double>(tokens.all.count)),
                      found.file, grouped(report_.max_seq_length),
                      count_of(tokens.cut_records, "record")),
          places(split, measured.cut_lines));
  }

  std::vector<RecordPlace> places_within(const Repeats& repeats, std::size_t split) const {
    std::vector<RecordPlace> places;
    for (const RepeatPair& pair : repeats.examples)
      if (pair.later.split == split && pair.earlier.split == split && places.size() < kPlaces)
        places.push_back(pair.later);
    return places;
  }

  void repeats(std::size_t split) {
    const SplitReport& found = report_.splits[split];
    const std::int64_t asked = found.name == "train" ? report_.asked_repeats() : 0;
    const std::int64_t exact = report_.exact.within[split] - asked;
    if (asked > 0)
      note("weights",
           fmt::format("{} of {} {} another of it, as the sources' weights ask.",
                       count_of(asked, "record"), found.file, asked == 1 ? "repeats" : "repeat"));
    repeated(split, "repeat_exact", exact, exact == 1 ? "repeats" : "repeat");
    const std::int64_t near = report_.near.within[split];
    repeated(split, "repeat_near", near, near == 1 ? "nearly repeats" : "nearly repeat");
  }

  void repeated(std::size_t split, std::string_view code, std::int64_t count,
                std::string_view verb) {
    const SplitReport& found = report_.splits[split];
    if (count == 0) return;
    const bool many =
        static_cast<double>(count) > kManyRepeats * static_cast<double>(found.records);
    add(many ? WarningLevel::kWarning : WarningLevel::kNote, code,
        fmt::format("{} of {} {} another of the same file: what stands twice is learned twice.",
                    count_of(count, "record"), found.file, verb),
        places_within(code == "repeat_exact" ? report_.exact : report_.near, split));
  }

  void habits(std::size_t split) {
    const SplitReport& found = report_.splits[split];
    if (found.name != "train" || found.records == 0) return;
    const auto records = static_cast<double>(found.records);
    const auto links = static_cast<double>(found.habits.links);
    if (links > kManyLinks * records)
      note("links", fmt::format("{} of the posts to learn from hold a link: the voice will write "
                                "addresses that lead nowhere.",
                                percent(links, records)));
  }

  void padding() {
    for (const SplitReport& split : report_.splits) {
      if (split.name != "train" || !split.tokens) continue;
      for (const BatchCost& cost : split.tokens->padded)
        if (cost.batch_size == 4 && cost.waste() > kMuchPadding)
          note("padding",
               fmt::format("{} of padded batches of 4 would be padding; packed, none is.",
                           percent(cost.waste(), 1.0)));
    }
  }

  void manifest() {
    if (!report_.manifest) return;
    for (const auto& [file, sha256] : report_.manifest->file_sha256) {
      const auto same = std::ranges::find(report_.splits, file, &SplitReport::file);
      if (same == report_.splits.end())
        warn("manifest_missing",
             fmt::format("manifest.json names {}, which is not there.", printable(file)));
      else if (same->sha256 != sha256)
        warn("manifest_changed",
             fmt::format("{} has changed since manifest.json was written: what that says of it "
                         "may not hold.",
                         file));
    }
  }

  const Report& report_;
  const std::vector<Measured>& measured_;
  std::vector<Warning> found_;
};

}  // namespace

std::vector<Warning> find_warnings(const Report& report, const std::vector<Measured>& measured) {
  return Finder(report, measured).find();
}

}  // namespace bobby::inspection
