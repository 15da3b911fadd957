// bobby tokenize: texts to token ids and back, one a line.

#include <cstdio>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/obtain.h"
#include "cli/command.h"
#include "cli/pull_view.h"
#include "cli/signals.h"
#include "tokenizer/tokenizer.h"

namespace bobby::cli {
namespace {

// Pieces of stdin that end with `end`; the last may lack it.
class Pieces {
 public:
  explicit Pieces(char end) : end_(end) {}

  std::optional<std::string> next() {
    std::string piece;
    for (;;) {
      const auto found = buffer_.find(end_, at_);
      if (found != std::string::npos) {
        piece.append(buffer_, at_, found - at_);
        at_ = found + 1;
        return piece;
      }
      piece.append(buffer_, at_, std::string::npos);
      if (!refill()) return piece.empty() ? std::nullopt : std::optional(std::move(piece));
    }
  }

 private:
  bool refill() {
    buffer_.resize(1 << 16);
    at_ = 0;
    // A Ctrl-C that comes while waiting for input makes the read return early.
    buffer_.resize(cancelled() ? 0 : std::fread(buffer_.data(), 1, buffer_.size(), stdin));
    return !buffer_.empty();
  }

  char end_;
  std::string buffer_;
  std::size_t at_ = 0;
};

Result<std::vector<std::int32_t>> parse_ids(const std::string& line, std::int64_t number) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  std::vector<std::int32_t> ids;
  bool good = json.is_array();
  for (std::size_t i = 0; good && i < json.size(); ++i) {
    good = json[i].is_number_unsigned() && json[i].get<std::uint64_t>() <= 0x7fffffffu;
    if (good) ids.push_back(json[i].get<std::int32_t>());
  }
  if (!good)
    return fail({.code = ErrorCode::kMalformed,
                 .where = fmt::format("line {} of the input", number),
                 .problem = "is not a JSON array of token ids"});
  return ids;
}

Result<int> encode(const Tokenizer& tokenizer, char end, Console& console) {
  Pieces pieces(end);
  while (auto piece = pieces.next()) {
    console.print(fmt::format("[{}]", fmt::join(tokenizer.encode(*piece), ",")));
    if (console.stdout_failed()) break;
  }
  return cancelled() ? kInterrupted : kDone;
}

Result<int> decode(const Tokenizer& tokenizer, char end, Console& console) {
  Pieces lines('\n');
  for (std::int64_t number = 1;; ++number) {
    const auto line = lines.next();
    if (!line || console.stdout_failed()) break;
    BOBBY_TRY(const auto ids, parse_ids(*line, number));
    auto text = tokenizer.decode(ids);
    if (!text) return fail(std::move(text).error().in(fmt::format("line {} of the input", number)));
    console.print_bytes(*text + end);
  }
  return cancelled() ? kInterrupted : kDone;
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  BOBBY_TRY(auto file,
            obtain_model(settings.text(Opt::kModel), settings,
                         pull_view(invocation.console, settings), hub::Content::kTokenizer));
  std::error_code status;
  if (std::filesystem::is_directory(file, status)) file /= "tokenizer.json";
  BOBBY_TRY(const Tokenizer tokenizer, Tokenizer::from_file(file));
  const char end = settings.flag(Opt::kNul) ? '\0' : '\n';
  return settings.flag(Opt::kDecode) ? decode(tokenizer, end, invocation.console)
                                     : encode(tokenizer, end, invocation.console);
}

constexpr Opt kOptions[] = {Opt::kDecode, Opt::kNul};
constexpr Example kExamples[] = {
    {"echo \"write about coffee\" | bobby tokenize", "one JSON array of ids for each line"},
    {"bobby tokenize --model ./Qwen3-8B-MLX-4bit < posts.txt | bobby tokenize --decode "
     "--model ./Qwen3-8B-MLX-4bit",
     "there and back: the same texts"},
    {"printf 'two\\nlines\\0' | bobby tokenize -0", "a text that holds a line end"},
};

}  // namespace

const Command kTokenize = {
    .group = "",
    .name = "tokenize",
    .summary = "turn texts into token ids, and back",
    .description =
        "Reads texts from stdin, one a line, and prints the token ids of each as a JSON array on a "
        "line; with --decode the other way round. --model may also name a tokenizer.json.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
