#include "app/options.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>

namespace bobby {
namespace {

using enum OptionKind;
using enum OptionScope;

constexpr double kNone = std::numeric_limits<double>::lowest();
constexpr double kAny = std::numeric_limits<double>::max();
constexpr double kBig = 1e6;
constexpr double kSeedMax = 9007199254740991.0;  // 2^53 - 1: survives JSON readers that use doubles
constexpr double kIdMax = 2147483647.0;

constexpr std::array<std::string_view, 6> kIsas = {"portable", "neon",        "avx2",
                                                   "avx512",   "avx512-vnni", "amx"};
constexpr std::array<std::string_view, 2> kActivationFormats = {"q15", "int8"};
constexpr std::array<std::string_view, 3> kKvFormats = {"f16", "f32", "int8"};
constexpr std::array<std::string_view, 2> kRoundings = {"gpu", "cpu"};
constexpr std::array<std::string_view, 6> kBitWidths = {"2", "3", "4", "5", "6", "8"};
constexpr std::array<std::string_view, 3> kGroupSizes = {"32", "64", "128"};
// The forms of voice/prompt_form.h; a test compares the two lists.
constexpr std::array<std::string_view, 4> kPromptForms = {"qwen3-no-think", "chatml", "llama3",
                                                          "raw"};
constexpr std::array<std::string_view, 2> kManFormats = {"roff", "markdown"};

// One row an option, in the order of Opt.
constexpr std::array<OptionSpec, kOptions> kTable = {{
    {Opt::kModel,
     "model",
     'm',
     kText,
     kSetting,
     "PATH|ORG/NAME",
     "demo",
     kNone,
     kAny,
     {},
     "Model folder, name of an installed model, or ORG/NAME[@revision] in the Hugging Face cache"},
    {Opt::kAdapter,
     "adapter",
     'a',
     kTextList,
     kSetting,
     "PATH|NAME[:SCALE]",
     "",
     kNone,
     kAny,
     {},
     "Adapter folder, with SCALE in place of its own; repeat it to sum several"},
    {Opt::kDevice,
     "device",
     '\0',
     kText,
     kSetting,
     "DEVICE",
     "cpu",
     kNone,
     kAny,
     {},
     "Where the model runs: cpu, reference (plain and slow), cuda[:N] or mlx"},
    {Opt::kThreads,
     "threads",
     't',
     kInteger,
     kSetting,
     "N",
     "0",
     0,
     1024,
     {},
     "Threads to compute with; 0 is one for each processor that this process may use"},
    {Opt::kIsa, "isa", '\0', kChoice, kSetting, "SET", "", kNone, kAny, kIsas,
     "Force an instruction set of the CPU backend", "BOBBY_CPU_ISA"},
    {Opt::kActivations, "activations", '\0', kChoice, kSetting, "FORMAT", "q15", kNone, kAny,
     kActivationFormats,
     "What the CPU backend rounds activations to before a quantised product: 15 bits, or 8, faster "
     "for several posts at once and for long prompts, at a hundred times the error",
     "BOBBY_ACTIVATIONS"},
    {Opt::kKv, "kv", '\0', kChoice, kSetting, "FORMAT", "", kNone, kAny, kKvFormats,
     "How keys and values are kept: in 16 bits unless on the reference backend, which keeps f32; "
     "int8 takes half of f16's memory, at more error"},
    {Opt::kConfig,
     "config",
     '\0',
     kText,
     kFlagOnly,
     "FILE",
     "",
     kNone,
     kAny,
     {},
     "Read this file instead of ./bobby.toml and the user's config.toml"},
    {Opt::kOffline,
     "offline",
     '\0',
     kFlag,
     kSetting,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Never use the network"},
    {Opt::kJson,
     "json",
     '\0',
     kFlag,
     kFlagOnly,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Results on stdout and errors on stderr as JSON, one object a line"},
    {Opt::kVerbose,
     "verbose",
     'v',
     kFlag,
     kSetting,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Say more on stderr: times, speeds beside their limit, memory"},
    {Opt::kQuiet,
     "quiet",
     'q',
     kFlag,
     kSetting,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Nothing on stderr but errors"},

    {Opt::kCount, "count", 'n', kInteger, kSetting, "N", "1", 1, 1000, {}, "How many posts"},
    {Opt::kPrompt,
     "prompt",
     'p',
     kText,
     kSetting,
     "TEXT",
     "Write a post in your style",
     kNone,
     kAny,
     {},
     "What to ask for"},
    {Opt::kPromptForm, "prompt-form", '\0', kChoice, kSetting, "FORM", "", kNone, kAny,
     kPromptForms,
     "How the prompt is written for the model; by default as the adapter or the model says"},
    {Opt::kSystem,
     "system",
     '\0',
     kText,
     kSetting,
     "TEXT",
     "",
     kNone,
     kAny,
     {},
     "System message, in place of the model's own"},
    {Opt::kMaxTokens,
     "max-tokens",
     '\0',
     kInteger,
     kSetting,
     "N",
     "100",
     1,
     kBig,
     {},
     "Most tokens of one post"},
    {Opt::kTemperature,
     "temperature",
     '\0',
     kNumber,
     kSetting,
     "T",
     "0.7",
     0,
     10,
     {},
     "Higher is more surprising; 0 is --greedy"},
    {Opt::kTopP,
     "top-p",
     '\0',
     kNumber,
     kSetting,
     "P",
     "0.9",
     0,
     1,
     {},
     "Draw from the likeliest tokens that hold this share of the probability; 1 is all"},
    {Opt::kTopK,
     "top-k",
     '\0',
     kInteger,
     kSetting,
     "K",
     "0",
     0,
     kBig,
     {},
     "Draw from the K likeliest tokens; 0 is all"},
    {Opt::kMinP,
     "min-p",
     '\0',
     kNumber,
     kSetting,
     "P",
     "0",
     0,
     1,
     {},
     "Drop tokens less likely than P times the likeliest; 0 drops none"},
    {Opt::kRepetitionPenalty,
     "repetition-penalty",
     '\0',
     kNumber,
     kSetting,
     "X",
     "1",
     0.01,
     10,
     {},
     "Make tokens of the last 20 less likely by this factor; 1 is off"},
    {Opt::kGreedy,
     "greedy",
     '\0',
     kFlag,
     kSetting,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Always take the likeliest token"},
    {Opt::kSeed,
     "seed",
     's',
     kInteger,
     kSetting,
     "S",
     "",
     0,
     kSeedMax,
     {},
     "The same seed writes the same posts; without one it is drawn and shown"},
    {Opt::kCharLimit,
     "char-limit",
     '\0',
     kInteger,
     kSetting,
     "N",
     "300",
     1,
     kBig,
     {},
     "Most characters (graphemes) of a post; a longer one is cut at a sentence or a word, 0 is "
     "none"},
    {Opt::kHardLimit,
     "hard-limit",
     '\0',
     kFlag,
     kSetting,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Do not lead a post to the end of a sentence as it nears --char-limit; what is longer is cut"},
    {Opt::kMinChars,
     "min-chars",
     '\0',
     kInteger,
     kSetting,
     "N",
     "20",
     0,
     kBig,
     {},
     "Fewest characters of a post; a shorter one is tried again"},
    {Opt::kRetries,
     "retries",
     '\0',
     kInteger,
     kSetting,
     "N",
     "5",
     0,
     1000,
     {},
     "How often a post that is not acceptable is tried again"},
    {Opt::kKeepEmojis,
     "keep-emojis",
     '\0',
     kFlag,
     kSetting,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Leave emojis in"},
    {Opt::kKeepHashtags,
     "keep-hashtags",
     '\0',
     kFlag,
     kSetting,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Leave hashtags in"},
    {Opt::kRaw,
     "raw",
     '\0',
     kFlag,
     kFlagOnly,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Print what the model wrote, without any clean-up"},
    {Opt::kStream,
     "stream",
     '\0',
     kFlag,
     kFlagOnly,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Show each post on stderr while it is being written"},
    {Opt::kTrace,
     "trace",
     '\0',
     kText,
     kFlagOnly,
     "FILE",
     "",
     kNone,
     kAny,
     {},
     "Write what happened in each step to FILE, one JSON object a line"},

    {Opt::kPromptTokens,
     "prompt-tokens",
     '\0',
     kInteger,
     kFlagOnly,
     "N",
     "32",
     1,
     kBig,
     {},
     "Tokens of the prompt"},
    {Opt::kGenTokens,
     "gen-tokens",
     '\0',
     kInteger,
     kFlagOnly,
     "N",
     "128",
     1,
     kBig,
     {},
     "Tokens to decode after it"},
    {Opt::kBatch,
     "batch",
     '\0',
     kIntegerList,
     kFlagOnly,
     "N,N",
     "1,10",
     1,
     1024,
     {},
     "How many sequences to decode side by side; one measurement each"},
    {Opt::kBenchSeed,
     "seed",
     's',
     kInteger,
     kFlagOnly,
     "S",
     "0",
     0,
     kSeedMax,
     {},
     "What the prompt's random tokens are drawn from"},
    {Opt::kAdaptersByRow,
     "adapters-by-row",
     '\0',
     kInteger,
     kFlagOnly,
     "N",
     "0",
     0,
     1024,
     {},
     "Give sequence i adapter i modulo N in place of all of them; with N above the number of "
     "adapters the rest have none; 0 is all to each"},
    {Opt::kSharedPrompt,
     "shared-prompt",
     '\0',
     kFlag,
     kFlagOnly,
     "",
     "false",
     kNone,
     kAny,
     {},
     "One prompt for all sequences with the same adapters, computed once, as for the posts of one "
     "request"},
    {Opt::kStages,
     "stages",
     '\0',
     kFlag,
     kFlagOnly,
     "",
     "",
     0,
     0,
     {},
     "Show what each kind of operation took, for the prompt and for a step; each is waited for, so "
     "that a step is a little slower than without"},
    {Opt::kTokens,
     "tokens",
     '\0',
     kIntegerList,
     kFlagOnly,
     "ID,ID",
     "",
     0,
     kIdMax,
     {},
     "Token ids to run the model on"},
    {Opt::kOut, "out", 'o', kText, kFlagOnly, "PATH", "", kNone, kAny, {}, "Where to write"},
    {Opt::kDeep,
     "deep",
     '\0',
     kFlag,
     kFlagOnly,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Also look at every number, for NaN and infinity"},
    {Opt::kArch,
     "arch",
     '\0',
     kText,
     kFlagOnly,
     "NAME|FILE.json",
     "",
     kNone,
     kAny,
     {},
     "Shape of the model: qwen3-8b, or a config.json"},
    {Opt::kSynthSeed,
     "seed",
     's',
     kInteger,
     kFlagOnly,
     "S",
     "0",
     0,
     kSeedMax,
     {},
     "What the random weights are drawn from"},
    {Opt::kSynthAdapter,
     "adapter-out",
     '\0',
     kText,
     kFlagOnly,
     "DIR",
     "",
     kNone,
     kAny,
     {},
     "Also write a random rank-8 adapter of the last 16 blocks, for measuring"},
    {Opt::kBits, "bits", '\0', kChoice, kFlagOnly, "N", "4", kNone, kAny, kBitWidths,
     "Bits of a weight"},
    {Opt::kGroupSize, "group-size", '\0', kChoice, kFlagOnly, "N", "64", kNone, kAny, kGroupSizes,
     "Weights that share a scale"},
    {Opt::kRounding, "rounding", '\0', kChoice, kFlagOnly, "WAY", "gpu", kNone, kAny, kRoundings,
     "How MLX rounds: as on its GPUs (published models) or as on its CPU"},
    {Opt::kDecode,
     "decode",
     'd',
     kFlag,
     kFlagOnly,
     "",
     "false",
     kNone,
     kAny,
     {},
     "The way back: a JSON array of ids on each line becomes text"},
    {Opt::kNul,
     "nul",
     '0',
     kFlag,
     kFlagOnly,
     "",
     "false",
     kNone,
     kAny,
     {},
     "Texts end with NUL instead of a line end, so they may hold line ends"},
    {Opt::kFormat, "format", '\0', kChoice, kFlagOnly, "FORMAT", "roff", kNone, kAny, kManFormats,
     "What to write"},
}};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kOptions; ++i)
    if (kTable[i].id != static_cast<Opt>(i)) return false;
  return true;
}
static_assert(rows_are_in_order(), "kTable must have one row for each Opt, in its order");

std::string number_text(double value) {
  return fmt::format("{}", value);
}

std::string range_text(const OptionSpec& spec, std::string_view noun) {
  if (spec.min == kNone && spec.max == kAny) return std::string(noun);
  return fmt::format("{} from {} to {}", noun, number_text(spec.min), number_text(spec.max));
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

tl::unexpected<Error> not_a_value(std::string expected, std::string_view text) {
  return fail({.code = ErrorCode::kUsage,
               .problem = "is not a value that can be used",
               .expected = std::move(expected),
               .found = fmt::format("\"{}\"", text)});
}

bool integer_in_range(const OptionSpec& spec, std::string_view text) {
  const auto value = parse_integer(text);
  return value && static_cast<double>(*value) >= spec.min &&
         static_cast<double>(*value) <= spec.max;
}

bool integers_in_range(const OptionSpec& spec, std::string_view text) {
  for (;;) {
    const auto comma = text.find(',');
    if (!integer_in_range(spec, text.substr(0, comma))) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string OptionSpec::environment_name() const {
  if (scope == kFlagOnly) return {};
  if (!environment.empty()) return std::string(environment);
  std::string text = "BOBBY_";
  for (const char c : name)
    text += c == '-' ? '_' : static_cast<char>(c >= 'a' ? c - 'a' + 'A' : c);
  return text;
}

std::string OptionSpec::config_key() const {
  if (scope == kFlagOnly) return {};
  std::string text(name);
  for (char& c : text)
    if (c == '-') c = '_';
  return text;
}

const OptionSpec& option(Opt id) {
  return kTable[static_cast<std::size_t>(id)];
}

std::span<const OptionSpec> all_options() {
  return kTable;
}

Result<void> check_value(const OptionSpec& spec, std::string_view text) {
  switch (spec.kind) {
    case kFlag:
      if (text != "true" && text != "false" && text != "1" && text != "0")
        return not_a_value("true or false", text);
      return {};
    case kInteger:
      if (!integer_in_range(spec, text))
        return not_a_value(range_text(spec, "a whole number"), text);
      return {};
    case kNumber: {
      const auto value = parse_number(text);
      if (!value || *value < spec.min || *value > spec.max)
        return not_a_value(range_text(spec, "a number"), text);
      return {};
    }
    case kIntegerList:
      if (!integers_in_range(spec, text))
        return not_a_value(range_text(spec, "whole numbers") + ", with commas between", text);
      return {};
    case kChoice:
      for (const std::string_view choice : spec.choices)
        if (text == choice) return {};
      return not_a_value("one of " + fmt::format("{}", fmt::join(spec.choices, ", ")), text);
    case kText:
    case kTextList:
      if (text.empty()) return not_a_value("a text", text);
      return {};
  }
  return {};
}

bool flag_value(std::string_view text) {
  return text == "true" || text == "1";
}

std::int64_t integer_value(std::string_view text) {
  return parse_integer(text).value_or(0);
}

double number_value(std::string_view text) {
  return parse_number(text).value_or(0.0);
}

}  // namespace bobby
