#include "training/dataset.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <utility>

namespace bobby {
namespace {

constexpr std::size_t kMostLineBytes = 16 << 20;
constexpr std::size_t kMostProblems = 20;

enum class Line : std::uint8_t { kRead, kEnd, kTooLong };

// The next line without its end; never more than the limit in memory.
Line next_line(std::streambuf& source, std::string& line) {
  using Traits = std::streambuf::traits_type;
  line.clear();
  for (auto c = source.sbumpc();; c = source.sbumpc()) {
    if (Traits::eq_int_type(c, Traits::eof())) return line.empty() ? Line::kEnd : Line::kRead;
    if (Traits::to_char_type(c) == '\n') return Line::kRead;
    if (line.size() == kMostLineBytes) return Line::kTooLong;
    line.push_back(Traits::to_char_type(c));
  }
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

class Reader {
 public:
  Reader(const std::filesystem::path& file, const RecordEncoder& encoder) : encoder_(encoder) {
    dataset_.file = file;
  }

  Result<Dataset> read(std::streambuf& source) {
    std::string line;
    for (std::int64_t number = 1;; ++number) {
      const std::string where = fmt::format("{}:{}", dataset_.file.string(), number);
      const Line read = next_line(source, line);
      if (read == Line::kTooLong)
        return fail({.code = ErrorCode::kLimit,
                     .where = where,
                     .problem = "is longer than the 16 MB that a record may have"});
      if (read == Line::kEnd) break;
      if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
      if (!is_blank(line)) add(line, where, number);
      if (problems_.size() > kMostProblems) break;
    }
    if (problems_.empty()) return std::move(dataset_);
    if (problems_.size() > kMostProblems) {
      problems_.pop_back();
      problems_.back().hint = "there are more bad lines after this one";
    }
    return fail(join_errors(std::move(problems_)));
  }

 private:
  void add(std::string_view line, const std::string& where, std::int64_t number) {
    const EncodingOptions& options = encoder_.options();
    // mlx-lm reads a file by the form of its first record.
    if (options.compat_mlx && !form_) {
      const auto form = encoder_.form_of(line, where);
      if (!form) return problems_.push_back(form.error());
      form_ = *form;
    }
    auto example = encoder_.encode(line, where, form_);
    if (!example) return problems_.push_back(std::move(example).error());
    example->record = number;
    ++dataset_.records;
    dataset_.longest = std::max(dataset_.longest, example->length());
    const bool fits = example->length() <= options.max_seq_length;
    auto parts = fit_to_length(*std::move(example), options.max_seq_length, options.over_long);
    if (!fits) {
      dataset_.truncated += options.over_long == OverLong::kTruncate ? 1 : 0;
      dataset_.dropped += options.over_long == OverLong::kDrop ? 1 : 0;
      dataset_.split += options.over_long == OverLong::kSplit ? 1 : 0;
    }
    if (!options.compat_mlx)
      dataset_.untrained += std::erase_if(
          parts, [](const TrainingExample& part) { return part.trained_tokens() == 0; });
    std::ranges::move(parts, std::back_inserter(dataset_.examples));
  }

  const RecordEncoder& encoder_;
  Dataset dataset_;
  std::optional<RecordForm> form_;
  std::vector<Error> problems_;
};

}  // namespace

std::int64_t TrainingExample::trained_tokens() const {
  return std::max<std::int64_t>(length() - std::max<std::int64_t>(loss_begin, 1), 0);
}

Result<Dataset> read_dataset(const std::filesystem::path& file, const RecordEncoder& encoder) {
  std::error_code status;
  if (std::filesystem::is_directory(file, status))
    return fail(
        {.code = ErrorCode::kIo, .where = file.string(), .problem = "is a folder, not a file"});
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (!stream)
    return fail({.code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                 .where = file.string(),
                 .problem = fmt::format("cannot be read ({})", std::strerror(errno))});
  return Reader(file, encoder).read(*stream.rdbuf());
}

std::vector<TrainingExample> fit_to_length(TrainingExample example, std::int64_t max_seq_length,
                                           OverLong over_long) {
  std::vector<TrainingExample> parts;
  if (example.length() <= max_seq_length) {
    parts.push_back(std::move(example));
    return parts;
  }
  switch (over_long) {
    case OverLong::kDrop: return parts;
    case OverLong::kTruncate:
      example.tokens.resize(static_cast<std::size_t>(max_seq_length));
      example.truncated = true;
      parts.push_back(std::move(example));
      return parts;
    case OverLong::kSplit: break;
  }
  // A part begins with the last token of the one before, so that every token is a target once.
  for (std::int64_t begin = 0; begin + 1 < example.length(); begin += max_seq_length - 1) {
    const std::int64_t end = std::min(begin + max_seq_length, example.length());
    TrainingExample part{
        .tokens = {example.tokens.begin() + begin, example.tokens.begin() + end},
        .loss_begin = std::max<std::int64_t>(example.loss_begin - begin, begin == 0 ? 0 : 1),
        .record = example.record,
        .keys = example.keys};
    if (part.trained_tokens() > 0) parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace bobby
