#include <array>

#include "app/options.h"

namespace bobby {
namespace {

using enum Opt;
using enum OptionKind;
using enum OptionScope;

constexpr char kNoLetter = '\0';
constexpr double kBig = 1e6;
constexpr double kSeedMax = 9007199254740991.0;  // 2^53 - 1: survives JSON readers that use doubles
constexpr double kIdMax = 2147483647.0;

constexpr std::array<std::string_view, 8> kIsas = {
    "portable", "neon", "neon-dotprod", "neon-i8mm", "avx2", "avx512", "avx512-vnni", "amx"};
constexpr std::array<std::string_view, 2> kActivationFormats = {"q15", "int8"};
constexpr std::array<std::string_view, 3> kKvFormats = {"f16", "f32", "int8"};
constexpr std::array<std::string_view, 2> kRoundings = {"gpu", "cpu"};
constexpr std::array<std::string_view, 3> kDtypes = {"bf16", "f16", "f32"};
constexpr std::array<std::string_view, 6> kBitWidths = {"2", "3", "4", "5", "6", "8"};
constexpr std::array<std::string_view, 3> kGroupSizes = {"32", "64", "128"};
// The forms of voice/prompt_form.h; a test compares the two lists.
constexpr std::array<std::string_view, 5> kPromptForms = {"qwen3-no-think", "chatml", "llama3",
                                                          "llama3.1", "raw"};
constexpr std::array<std::string_view, 3> kAdapterFormats = {"mlx", "peft", "gguf"};
constexpr std::array<std::string_view, 2> kManFormats = {"roff", "markdown"};
constexpr std::array<std::string_view, 2> kLogFormats = {"text", "json"};
constexpr std::array<std::string_view, 3> kLinkRules = {"drop", "keep", "skip"};

constexpr std::array<std::string_view, 3> kMisfires = {"skip", "one", "all"};
constexpr std::array<std::string_view, 3> kMentionRules = {"strip", "refuse", "keep"};
constexpr double kDay = 86400;

// How rows of the table are written: by kind, with what that kind has.
struct Range {
  double min;
  double max;
};

constexpr OptionSpec flag(Opt id, std::string_view name, char letter, OptionScope scope,
                          std::string_view help) {
  return {.id = id,
          .name = name,
          .letter = letter,
          .kind = kFlag,
          .scope = scope,
          .value = {},
          .default_text = "false",
          .help = help};
}

constexpr OptionSpec ranged(OptionKind kind, Opt id, std::string_view name, char letter,
                            OptionScope scope, std::string_view value,
                            std::string_view default_text, Range range, std::string_view help) {
  return {.id = id,
          .name = name,
          .letter = letter,
          .kind = kind,
          .scope = scope,
          .value = value,
          .default_text = default_text,
          .min = range.min,
          .max = range.max,
          .help = help};
}

constexpr OptionSpec text(Opt id, std::string_view name, char letter, OptionScope scope,
                          std::string_view value, std::string_view default_text,
                          std::string_view help, OptionKind kind = kText) {
  return {.id = id,
          .name = name,
          .letter = letter,
          .kind = kind,
          .scope = scope,
          .value = value,
          .default_text = default_text,
          .help = help};
}

constexpr OptionSpec choice(Opt id, std::string_view name, char letter, OptionScope scope,
                            std::string_view value, std::string_view default_text,
                            std::span<const std::string_view> choices, std::string_view help,
                            std::string_view environment = {}) {
  return {.id = id,
          .name = name,
          .letter = letter,
          .kind = kChoice,
          .scope = scope,
          .value = value,
          .default_text = default_text,
          .choices = choices,
          .help = help,
          .environment = environment};
}

// A setting of the [bot] table, under `key` where that is another name than its flag's.
constexpr OptionSpec of_bot(OptionSpec spec, std::string_view key = {}) {
  spec.table = "bot";
  spec.key = key;
  return spec;
}

// One row an option, in the order of Opt.
constexpr std::array<OptionSpec, kOptions> kTable = {{
    text(
        kModel, "model", 'm', kSetting, "PATH|ORG/NAME", "demo",
        "Model folder, name of an installed model, or ORG/NAME[@revision] of the Hugging Face hub, "
        "which is downloaded if need be"),
    text(kAdapter, "adapter", 'a', kSetting, "PATH|ORG/NAME[:SCALE]", "",
         "Adapter folder, .gguf file, or one of the Hugging Face hub, with SCALE in place of its "
         "own; "
         "repeat "
         "it to sum several",
         kTextList),
    text(kDevice, "device", kNoLetter, kSetting, "DEVICE", "cpu",
         "Where the model runs: cpu, reference (plain and slow), cuda[:N] or mlx[:cpu]"),
    ranged(kInteger, kThreads, "threads", 't', kSetting, "N", "0", {0, 1024},
           "Threads to compute with; 0 is one for each processor that this process may use"),
    choice(kIsa, "isa", kNoLetter, kSetting, "SET", "", kIsas,
           "Force an instruction set of the CPU backend", "BOBBY_CPU_ISA"),
    choice(kActivations, "activations", kNoLetter, kSetting, "FORMAT", "q15", kActivationFormats,
           "What the CPU backend rounds activations to before a quantised product: 15 bits, or 8, "
           "faster for several posts at once and for long prompts, at a hundred times the error",
           "BOBBY_ACTIVATIONS"),
    choice(kKv, "kv", kNoLetter, kSetting, "FORMAT", "", kKvFormats,
           "How keys and values are kept: in 16 bits unless on the reference backend, which keeps "
           "f32; int8 takes half of f16's memory, at more error"),
    text(kConfig, "config", kNoLetter, kFlagOnly, "FILE", "",
         "Read this file instead of ./bobby.toml and the user's config.toml"),
    flag(kOffline, "offline", kNoLetter, kSetting, "Never use the network"),
    flag(kJson, "json", kNoLetter, kFlagOnly,
         "Results on stdout and errors on stderr as JSON, one object a line"),
    flag(kVerbose, "verbose", 'v', kSetting,
         "Say more on stderr: times, speeds beside their limit, memory"),
    flag(kQuiet, "quiet", 'q', kSetting, "Nothing on stderr but errors"),
    ranged(kInteger, kCount, "count", 'n', kSetting, "N", "1", {1, 1000}, "How many posts"),
    text(kPrompt, "prompt", 'p', kSetting, "TEXT", "Write a post in your style", "What to ask for"),
    choice(kPromptForm, "prompt-form", kNoLetter, kSetting, "FORM", "", kPromptForms,
           "How the prompt is written for the model; by default as the adapter or the model says"),
    text(kSystem, "system", kNoLetter, kSetting, "TEXT", "",
         "System message, in place of the model's own"),
    ranged(kInteger, kMaxTokens, "max-tokens", kNoLetter, kSetting, "N", "100", {1, kBig},
           "Most tokens of one post"),
    ranged(kNumber, kTemperature, "temperature", kNoLetter, kSetting, "T", "0.7", {0, 10},
           "Higher is more surprising; 0 is --greedy"),
    ranged(kNumber, kTopP, "top-p", kNoLetter, kSetting, "P", "0.9", {0, 1},
           "Draw from the likeliest tokens that hold this share of the probability; 1 is all"),
    ranged(kInteger, kTopK, "top-k", kNoLetter, kSetting, "K", "0", {0, kBig},
           "Draw from the K likeliest tokens; 0 is all"),
    ranged(kNumber, kMinP, "min-p", kNoLetter, kSetting, "P", "0", {0, 1},
           "Drop tokens less likely than P times the likeliest; 0 drops none"),
    ranged(kNumber, kRepetitionPenalty, "repetition-penalty", kNoLetter, kSetting, "X", "1",
           {0.01, 10}, "Make tokens of the last 20 less likely by this factor; 1 is off"),
    flag(kGreedy, "greedy", kNoLetter, kSetting, "Always take the likeliest token"),
    ranged(kInteger, kSeed, "seed", 's', kSetting, "S", "", {0, kSeedMax},
           "The same seed writes the same posts; without one it is drawn and shown"),
    ranged(kInteger, kCharLimit, "char-limit", kNoLetter, kSetting, "N", "300", {0, kBig},
           "Most characters (graphemes) of a post; a longer one is cut at a sentence or a word, 0 "
           "is none"),
    flag(kHardLimit, "hard-limit", kNoLetter, kSetting,
         "Do not lead a post to the end of a sentence as it nears --char-limit; what is longer is "
         "cut"),
    ranged(kInteger, kMinChars, "min-chars", kNoLetter, kSetting, "N", "20", {0, kBig},
           "Fewest characters of a post; a shorter one is tried again"),
    ranged(kInteger, kRetries, "retries", kNoLetter, kSetting, "N", "5", {0, 1000},
           "How often a post that is not acceptable is tried again"),
    flag(kKeepEmojis, "keep-emojis", kNoLetter, kSetting, "Leave emojis in"),
    flag(kKeepHashtags, "keep-hashtags", kNoLetter, kSetting, "Leave hashtags in"),
    flag(kRaw, "raw", kNoLetter, kFlagOnly, "Print what the model wrote, without any clean-up"),
    flag(kStream, "stream", kNoLetter, kFlagOnly,
         "Show each post on stderr while it is being written"),
    text(kTrace, "trace", kNoLetter, kFlagOnly, "FILE", "",
         "Write what happened in each step to FILE, one JSON object a line"),
    ranged(kInteger, kPromptTokens, "prompt-tokens", kNoLetter, kFlagOnly, "N", "32", {1, kBig},
           "Tokens of the prompt"),
    ranged(kInteger, kGenTokens, "gen-tokens", kNoLetter, kFlagOnly, "N", "128", {1, kBig},
           "Tokens to decode after it"),
    ranged(kIntegerList, kBatch, "batch", kNoLetter, kFlagOnly, "N,N", "1,10", {1, 1024},
           "How many sequences to decode side by side; one measurement each"),
    ranged(kInteger, kBenchSeed, "seed", 's', kFlagOnly, "S", "0", {0, kSeedMax},
           "What the prompt's random tokens are drawn from"),
    ranged(kInteger, kAdaptersByRow, "adapters-by-row", kNoLetter, kFlagOnly, "N", "0", {0, 1024},
           "Give sequence i adapter i modulo N in place of all of them; with N above the number of "
           "adapters the rest have none; 0 is all to each"),
    flag(kSharedPrompt, "shared-prompt", kNoLetter, kFlagOnly,
         "One prompt for all sequences with the same adapters, computed once, as for the posts of "
         "one request"),
    flag(kStages, "stages", kNoLetter, kFlagOnly,
         "Show what each kind of operation took, for the prompt and for a step; each is waited "
         "for, so that a step is a little slower than without"),
    ranged(kIntegerList, kTokens, "tokens", kNoLetter, kFlagOnly, "ID,ID", "", {0, kIdMax},
           "Token ids to run the model on"),
    text(kOut, "out", 'o', kFlagOnly, "PATH", "", "Where to write"),
    choice(kTo, "to", kNoLetter, kFlagOnly, "FORMAT", "", kAdapterFormats,
           "What to write: a folder of mlx-lm or PEFT, or llama.cpp's GGUF file"),
    choice(kFrom, "from", kNoLetter, kFlagOnly, "FORMAT", "", kAdapterFormats,
           "What it must be; left out: what it is seen to be"),
    flag(kDeep, "deep", kNoLetter, kFlagOnly, "Also look at every number, for NaN and infinity"),
    text(kArch, "arch", kNoLetter, kFlagOnly, "NAME|FILE.json", "",
         "Shape of the model: qwen3-0.6b to -32b, qwen2.5-0.5b to -32b, llama-3.1-8b, llama-3.2-1b "
         "and -3b, smollm2-135m to -1.7b, or a config.json"),
    ranged(kInteger, kSynthSeed, "seed", 's', kFlagOnly, "S", "0", {0, kSeedMax},
           "What the random weights are drawn from"),
    text(kSynthAdapter, "adapter-out", kNoLetter, kFlagOnly, "DIR", "",
         "Also write a random rank-8 adapter of the last 16 blocks, for measuring"),
    choice(kBits, "bits", kNoLetter, kFlagOnly, "N", "4", kBitWidths, "Bits of a weight"),
    choice(kGroupSize, "group-size", kNoLetter, kFlagOnly, "N", "64", kGroupSizes,
           "Weights that share a scale"),
    choice(kRounding, "rounding", kNoLetter, kFlagOnly, "WAY", "gpu", kRoundings,
           "How MLX rounds: as on its GPUs (published models) or as on its CPU"),
    text(kRecipe, "recipe", kNoLetter, kFlagOnly, "NAME|FILE.json", "",
         "Bits by layer: mixed_2_6, mixed_3_4, mixed_3_6 or mixed_4_6 as in mlx-lm, or a file like "
         "config.json's \"quantization\""),
    text(kOverride, "override", kNoLetter, kFlagOnly, "PATH=BITS[:GROUP]|dense", "",
         "What one module gets, or all that a path with * stands for; repeat it for several",
         kTextList),
    flag(kDense, "dense", kNoLetter, kFlagOnly, "Weights in bfloat16, not quantised"),
    choice(kDtype, "dtype", kNoLetter, kFlagOnly, "TYPE", "bf16", kDtypes, "Type of fused weights"),
    flag(kAsMlx, "as-mlx", kNoLetter, kFlagOnly,
         "Round where mlx_lm.fuse does: base, change and sum, instead of the sum alone"),
    flag(kRequantize, "requantize", kNoLetter, kFlagOnly,
         "Quantise the fused weights again, which costs some or all of the voice"),
    text(kFidelityData, "data", kNoLetter, kFlagOnly, "DIR|FILE.jsonl", "",
         "Posts to compare on: a folder's valid.jsonl, or a file"),
    ranged(kInteger, kPositions, "positions", kNoLetter, kFlagOnly, "N", "4096", {0, kIdMax},
           "Most tokens of posts that are compared; 0: all"),
    flag(kDecode, "decode", 'd', kFlagOnly,
         "The way back: a JSON array of ids on each line becomes text"),
    flag(kNul, "nul", '0', kFlagOnly,
         "Texts end with NUL instead of a line end, so they may hold line ends"),
    text(kHtml, "html", kNoLetter, kFlagOnly, "FILE", "",
         "Also write it to FILE as one page of HTML that needs nothing else"),
    ranged(kInteger, kSamples, "samples", kNoLetter, kFlagOnly, "N", "6", {0, 1000},
           "How many records are shown"),
    ranged(kInteger, kInspectMaxSeqLength, "max-seq-length", kNoLetter, kFlagOnly, "N", "2048",
           {2, kBig}, "Tokens at which training would cut a record"),
    choice(kFormat, "format", kNoLetter, kFlagOnly, "FORMAT", "roff", kManFormats, "What to write"),
    flag(kUpdate, "update", kNoLetter, kFlagOnly,
         "Ask the hub for a newer state of the revision, though one is here"),
    text(kInclude, "include", kNoLetter, kFlagOnly, "PATTERN", "",
         "Also get files that match, such as \"*.gguf\"; repeat it for several", kTextList),
    text(kExclude, "exclude", kNoLetter, kFlagOnly, "PATTERN", "",
         "Leave out files that match; repeat it for several", kTextList),
    text(kHost, "host", kNoLetter, kSetting, "ADDRESS", "127.0.0.1",
         "Address to listen on; one that other machines reach needs --api-key-file"),
    ranged(kInteger, kPort, "port", kNoLetter, kSetting, "N", "4000", {0, 65535},
           "Port to listen on; 0 takes any free one"),
    text(kUnixSocket, "unix-socket", kNoLetter, kSetting, "FILE", "",
         "Listen on this socket file in place of an address"),
    text(kApiKeyFile, "api-key-file", kNoLetter, kSetting, "FILE", "",
         "Answer only who sends one of the keys in FILE, one a line"),
    flag(kMetricsKey, "metrics-key", kNoLetter, kSetting, "Ask for a key on /metrics too"),
    text(kAllowOrigin, "allow-origin", kNoLetter, kSetting, "ORIGIN", "",
         "Also answer pages of this origin, https://example.org; repeat it for several", kTextList),
    ranged(kInteger, kMaxRows, "max-rows", kNoLetter, kSetting, "N", "16", {1, 1024},
           "Texts that are written side by side at most; further ones wait"),
    ranged(kInteger, kMaxQueue, "max-queue", kNoLetter, kSetting, "N", "256", {0, kBig},
           "Requests that may wait beyond --max-rows; further ones are refused, 0 is any number"),
    ranged(kInteger, kKvMemory, "kv-memory", kNoLetter, kSetting, "MB", "1024", {0, kBig},
           "Memory for keys and values; 0 lets it grow with what is asked for"),
    ranged(kInteger, kRequestTimeout, "request-timeout", kNoLetter, kSetting, "SECONDS", "300",
           {0, kBig}, "A request that takes longer is ended; 0 is never"),
    text(kAdapterDir, "adapter-dir", kNoLetter, kSetting, "DIR", "",
         "Offer every adapter that is a folder in DIR, read when it is first used"),
    text(kDrafts, "drafts", kNoLetter, kSetting, "FILE", "",
         "Where drafts are kept; by default bobby.sqlite in bobby's state folder"),
    text(kPromptCache, "prompt-cache", kNoLetter, kSetting, "FILE", "",
         "Keep what was computed of prompts in FILE from one run to the next"),
    choice(kLogFormat, "log-format", kNoLetter, kSetting, "FORMAT", "text", kLogFormats,
           "How a request is logged, one line each on stderr"),
    text(kSource, "source", kNoLetter, kFlagOnly, "KIND:PATH[:WEIGHT]", "",
         "Another source; each post of it is trained on WEIGHT times (a fraction is a chance); "
         "repeat it for several",
         kTextList),
    flag(kForce, "force", 'f', kFlagOnly, "Replace a dataset that is there already"),
    flag(kReplies, "replies", kNoLetter, kFlagOnly, "Also take answers to other people"),
    flag(kQuotes, "quotes", kNoLetter, kFlagOnly, "Also take posts that quote another post"),
    flag(kDeleted, "deleted", kNoLetter, kFlagOnly,
         "Also take posts that were deleted, where a Twitter archive still holds them"),
    flag(kBlocks, "blocks", kNoLetter, kFlagOnly,
         "In text files, empty lines stand between posts; without it each line is one"),
    ranged(kInteger, kImportMinChars, "min-chars", kNoLetter, kFlagOnly, "N", "20", {0, kBig},
           "Leave out posts of fewer characters"),
    ranged(kInteger, kImportMaxChars, "max-chars", kNoLetter, kFlagOnly, "N", "0", {0, kBig},
           "Leave out posts of more characters; 0 is any number"),
    choice(kLinks, "links", kNoLetter, kFlagOnly, "RULE", "drop", kLinkRules,
           "Web addresses in posts: drop takes them out, skip leaves out posts that hold one"),
    text(kLanguage, "language", kNoLetter, kFlagOnly, "CODE", "",
         "Take posts in this language, and those whose source names none; repeat it for several",
         kTextList),
    flag(kKeepDuplicates, "keep-duplicates", kNoLetter, kFlagOnly,
         "Keep posts that say the same as another; they still stand on one side of the split"),
    ranged(
        kNumber, kNear, "near", kNoLetter, kFlagOnly, "S", "0.8", {0, 1},
        "Similarity from which two posts are nearly the same; below 0.6 many are missed, 0 looks "
        "for equal ones only"),
    text(kImportPrompt, "prompt", 'p', kFlagOnly, "TEXT", "",
         "What a post answers, where its source does not say; repeat it to draw one for each post; "
         "by default what `bobby post` asks",
         kTextList),
    text(kPromptsFile, "prompts", kNoLetter, kFlagOnly, "FILE", "",
         "Draw from the prompts in FILE, one a line"),
    text(kImportSystem, "system", kNoLetter, kFlagOnly, "TEXT", "",
         "System message of every record"),
    ranged(kNumber, kValid, "valid", kNoLetter, kFlagOnly, "N", "0.1", {0, kBig},
           "Posts kept for validation: below 1 their share, else their number"),
    ranged(kInteger, kImportSeed, "seed", 's', kFlagOnly, "S", "0", {0, kSeedMax},
           "What split, order, prompts and chances are drawn from"),
    text(kTrainConfig, "config", kNoLetter, kFlagOnly, "FILE.yaml", "",
         "What to train, in the words of mlx_lm.lora's YAML"),
    flag(kPlan, "plan", kNoLetter, kFlagOnly,
         "Say what memory and time it will take, and whether it fits; train nothing"),
    text(kResume, "resume", kNoLetter, kFlagOnly, "DIR", "",
         "Go on from the last checkpoint in this adapter folder, as if it had never stopped"),
    flag(kOverwrite, "overwrite", kNoLetter, kFlagOnly,
         "Begin anew in an adapter folder that holds a run already"),
    text(kTrainData, "data", kNoLetter, kFlagOnly, "DIR", "",
         "Folder with train.jsonl and valid.jsonl, in place of the config's"),
    text(kAdapterPath, "adapter-path", kNoLetter, kFlagOnly, "DIR", "",
         "Where the adapter goes, in place of the config's"),
    ranged(kInteger, kIters, "iters", kNoLetter, kFlagOnly, "N", "", {1, kIdMax},
           "Batches to train, in place of the config's"),
    ranged(kInteger, kEpochs, "epochs", kNoLetter, kFlagOnly, "N", "", {1, kBig},
           "Passes over the data, in place of a number of batches"),
    ranged(kInteger, kBatchSize, "batch-size", kNoLetter, kFlagOnly, "N", "", {1, kBig},
           "Records of a batch, in place of the config's"),
    ranged(kInteger, kGradAccumulation, "grad-accumulation-steps", kNoLetter, kFlagOnly, "N", "",
           {1, kBig}, "Batches of an optimizer step, in place of the config's"),
    ranged(kNumber, kLearningRate, "learning-rate", kNoLetter, kFlagOnly, "X", "", {0, 1000},
           "How far a step goes, in place of the config's; a schedule there wins"),
    ranged(kInteger, kNumLayers, "num-layers", kNoLetter, kFlagOnly, "N", "", {-1, kBig},
           "Blocks to train, counted from the last, in place of the config's; -1 is all"),
    ranged(kInteger, kMaxSeqLength, "max-seq-length", kNoLetter, kFlagOnly, "N", "", {2, kBig},
           "Most tokens of a record, in place of the config's"),
    ranged(kInteger, kStepsPerReport, "steps-per-report", kNoLetter, kFlagOnly, "N", "",
           {1, kIdMax}, "Batches between two reports, in place of the config's"),
    ranged(kInteger, kStepsPerEval, "steps-per-eval", kNoLetter, kFlagOnly, "N", "", {1, kIdMax},
           "Batches between two validations, in place of the config's"),
    ranged(kInteger, kSaveEvery, "save-every", kNoLetter, kFlagOnly, "N", "", {1, kIdMax},
           "Batches between two checkpoints, in place of the config's"),
    ranged(kInteger, kValBatches, "val-batches", kNoLetter, kFlagOnly, "N", "", {-1, kBig},
           "Batches of a validation, in place of the config's; -1 is all"),
    ranged(kInteger, kTrainSeed, "seed", 's', kFlagOnly, "S", "", {0, kSeedMax},
           "What order and first values are drawn from, in place of the config's"),
    text(kService, "service", kNoLetter, kSetting, "URL", "",
         "The server that has a Bluesky account; by default the one that its identity names"),
    text(kPlc, "plc", kNoLetter, kSetting, "URL", "https://plc.directory",
         "The directory of did:plc identities"),
    of_bot(text(kBotService, "service", kNoLetter, kSetting, "URL", "",
                "The server that has the bot's account; by default the one that its identity "
                "names")),
    of_bot(text(kBotAccount, "account", kNoLetter, kSetting, "HANDLE|DID", "",
                "The account to post as, where several are logged in")),
    of_bot(text(kCron, "cron", kNoLetter, kSetting, "EXPRESSION", "",
                "When to post: five fields, \"30 8 * * mon-fri\", or @daily; in place of "
                "--per-day")),
    of_bot(ranged(kInteger, kPerDay, "per-day", kNoLetter, kSetting, "N", "0", {0, 1440},
                  "So many posts a day, at times drawn within --windows")),
    of_bot(text(kWindows, "windows", kNoLetter, kSetting, "HH:MM-HH:MM", "",
                "Hours that --per-day draws from; repeat it for several; by default the whole day",
                kTextList)),
    of_bot(text(kZone, "zone", kNoLetter, kSetting, "ZONE", "local",
                "Time zone of the schedule, Europe/Zurich say; local is this machine's")),
    of_bot(text(kWeekdays, "weekdays", kNoLetter, kSetting, "DAY", "",
                "Days to post on, mon say; repeat it for several; by default all", kTextList)),
    of_bot(ranged(kInteger, kJitter, "jitter", kNoLetter, kSetting, "SECONDS", "0", {0, kDay},
                  "Post up to so much later than planned")),
    of_bot(text(kQuietHours, "quiet-hours", kNoLetter, kSetting, "HH:MM-HH:MM", "",
                "Hours in which nothing is posted; repeat it for several", kTextList),
           "quiet"),
    of_bot(choice(kMisfire, "misfire", kNoLetter, kSetting, "POLICY", "one", kMisfires,
                  "What becomes of times that were missed: none is made up for, the latest, all")),
    of_bot(ranged(kInteger, kMisfireGrace, "misfire-grace", kNoLetter, kSetting, "SECONDS", "600",
                  {0, 30 * kDay}, "A time counts as missed when so much has passed")),
    of_bot(ranged(kInteger, kHourlyCap, "hourly-cap", kNoLetter, kSetting, "N", "4", {0, kBig},
                  "Most posts within 60 minutes; 0 is any number")),
    of_bot(ranged(kInteger, kDailyCap, "daily-cap", kNoLetter, kSetting, "N", "24", {0, kBig},
                  "Most posts in a day of the zone's calendar; 0 is any number")),
    of_bot(ranged(kInteger, kScheduleSeed, "schedule-seed", kNoLetter, kSetting, "S", "0",
                  {0, kSeedMax}, "What the schedule's times are drawn from"),
           "seed"),
    of_bot(text(kArchive, "archive", kNoLetter, kSetting, "FILE.jsonl", "",
                "Posts of the person, as in train.jsonl: no draft may repeat them; repeat it for "
                "several",
                kTextList)),
    of_bot(text(kDeny, "deny", kNoLetter, kSetting, "WORD", "",
                "What no post may say, seen through tricks; re:PATTERN is a regular expression; "
                "repeat it for several",
                kTextList)),
    of_bot(text(kDenyFile, "deny-file", kNoLetter, kSetting, "FILE", "",
                "A list of such words and patterns, one a line")),
    of_bot(choice(kMentions, "mentions", kNoLetter, kSetting, "RULE", "strip", kMentionRules,
                  "Names with an @: strip takes the @ out, refuse keeps such a post back, keep "
                  "calls people")),
    of_bot(text(kLangs, "langs", kNoLetter, kSetting, "CODE", "",
                "Language of the posts, \"en\" or \"pt-BR\"; repeat it for up to three",
                kTextList)),
    of_bot(flag(kLabel, "label", kNoLetter, kSetting,
                "Label the account's profile as a bot's; the rest of it stays")),
    of_bot(flag(kCard, "card", kNoLetter, kSetting,
                "Show the page that a post's first link leads to below it: its title and what it "
                "says of itself, fetched once")),
    of_bot(flag(kAutoPost, "auto-post", kNoLetter, kSetting,
                "Where nothing is approved when a time comes, post the oldest draft unseen")),
    of_bot(ranged(kInteger, kDraftsAhead, "drafts-ahead", kNoLetter, kSetting, "N", "0", {0, 1000},
                  "Keep so many drafts waiting: the bot writes what is missing")),
    of_bot(ranged(kInteger, kCandidates, "candidates", kNoLetter, kSetting, "K", "4", {1, 100},
                  "Texts that are written for each draft; the best is kept")),
    text(kPasswordFile, "password-file", kNoLetter, kFlagOnly, "FILE", "",
         "Read the password from FILE, - is stdin; else it is $BOBBY_BLUESKY_PASSWORD, or asked "
         "for"),
    text(kReason, "reason", kNoLetter, kFlagOnly, "TEXT", "", "Why, for whoever looks later"),
    flag(kDryRun, "dry-run", kNoLetter, kFlagOnly, "Show what would be done, and do nothing"),
    flag(kOnce, "once", kNoLetter, kFlagOnly,
         "Do what there is to do now, and end: for a timer of the system"),
}};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kOptions; ++i)
    if (kTable[i].id != static_cast<Opt>(i)) return false;
  return true;
}
static_assert(rows_are_in_order(), "kTable must have one row for each Opt, in its order");

}  // namespace

const OptionSpec& option(Opt id) {
  return kTable[static_cast<std::size_t>(id)];
}

std::span<const OptionSpec> all_options() {
  return kTable;
}

}  // namespace bobby
