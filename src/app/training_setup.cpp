#include "app/training_setup.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/device.h"
#include "app/obtain.h"
#include "app/training_config.h"
#include "base/memory_limit.h"
#include "base/sha256.h"
#include "model/config.h"
#include "model/model_digest.h"
#include "training/adapter_writer.h"
#include "training/plan.h"
#include "training/trained_adapter.h"
#include "voice/voice_file.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// The folder of the run to resume: the one named, or what holds it when it is a checkpoint itself.
fs::path run_folder(const fs::path& named) {
  const fs::path folder = named.has_filename() ? named : named.parent_path();
  return folder.filename() == kLastFolder && !is_there(folder / kLastFolder) ? folder.parent_path()
                                                                             : folder;
}

Result<void> take_folder(const Settings& settings, TrainingSetup& setup, const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return fail({.code = ErrorCode::kIo,
                 .where = folder.string(),
                 .problem = fmt::format("cannot be made ({})", error.message())});
  BOBBY_TRY(FolderLock lock, FolderLock::take(folder));
  setup.lock.emplace(std::move(lock));
  if (settings.given(Opt::kResume)) return {};
  const bool continues =
      setup.config.resume_adapter_file &&
      fs::equivalent(*setup.config.resume_adapter_file, folder / kAdapterFile, error);
  const bool holds_run =
      is_there(folder / kLastFolder) || (is_there(folder / kAdapterFile) && !continues);
  if (holds_run && !settings.flag(Opt::kOverwrite))
    return fail({.code = ErrorCode::kUsage,
                 .where = folder.string(),
                 .problem = "holds an adapter already",
                 .hint = fmt::format("`bobby train --resume {}` goes on with it, --overwrite "
                                     "begins anew, --adapter-path names another folder",
                                     folder.string())});
  for (const char* old : {kLastFolder, kBestFolder}) {
    fs::remove_all(folder / old, error);
    BOBBY_CHECK(recover_folder(folder / old));
  }
  return {};
}

Result<void> read_data(TrainingSetup& setup, const Tokenizer& tokenizer) {
  const TrainingConfig& config = setup.config;
  BOBBY_TRY(TokenizerFacts facts, read_tokenizer_facts(setup.model_folder, tokenizer));
  if (config.prompt_form) {
    BOBBY_TRY(setup.form, find_prompt_form(*config.prompt_form));
  } else {
    BOBBY_TRY(setup.form, choose_prompt_form(setup.model_folder.string(), setup.model_type,
                                             facts.chat_template));
  }
  EncodingOptions options;
  options.compat_mlx = config.compat_mlx;
  options.mask_prompt = config.mask_prompt;
  options.max_seq_length = config.max_seq_length;
  options.over_long = config.over_long;
  options.features = config.features;
  options.form = setup.form;
  options.facts = std::move(facts);
  BOBBY_TRY(const RecordEncoder encoder, RecordEncoder::make(tokenizer, std::move(options)));
  const fs::path folder = config.data;
  BOBBY_TRY(setup.data.training, read_dataset(folder / "train.jsonl", encoder));
  if (is_there(folder / "valid.jsonl")) {
    BOBBY_TRY(setup.data.validation, read_dataset(folder / "valid.jsonl", encoder));
  }
  if (config.test) {
    BOBBY_TRY(setup.data.test, read_dataset(folder / "test.jsonl", encoder));
  }
  if (setup.data.training.examples.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = (folder / "train.jsonl").string(),
                 .problem = "holds nothing to train"});
  if (setup.data.validation.examples.empty() && config.early_stopping)
    return fail({.code = ErrorCode::kUsage,
                 .where = (folder / "valid.jsonl").string(),
                 .problem = "holds no records, which early_stopping looks at"});
  if (setup.data.validation.examples.empty())
    setup.notes.push_back(
        fmt::format("no validation set ({}): there will be no best adapter and no early stop",
                    (folder / "valid.jsonl").string()));
  return {};
}

void note_dataset(const Dataset& dataset, std::int64_t longest_allowed,
                  std::vector<std::string>& notes) {
  const std::string name = dataset.file.filename().string();
  const auto note = [&](std::int64_t count, std::string_view what) {
    if (count > 0)
      notes.push_back(fmt::format("{}: {} of {} records {}", name, count, dataset.records, what));
  };
  const std::string limit =
      fmt::format("{} tokens (the longest has {})", longest_allowed, dataset.longest);
  note(dataset.truncated, "are cut off after " + limit);
  note(dataset.dropped, "are left out, being longer than " + limit);
  note(dataset.split, "are split, being longer than " + limit);
  note(dataset.untrained, "have nothing to train and are left out");
}

// The bytes that the run depends on: its records, and what makes tokens of them.
Result<std::string> data_digest(const TrainingSetup& setup) {
  std::string digests = setup.form.name + prompt_prefix_sha256(setup.form);
  for (const fs::path& file : {setup.data.training.file, setup.data.validation.file,
                               setup.model_folder / "tokenizer.json"}) {
    if (file.empty()) continue;
    BOBBY_TRY(const std::string digest, sha256_file(file));
    digests += digest;
  }
  return sha256_hex(std::as_bytes(std::span(digests)));
}

// Of the manifest that `bobby data import` writes, or of the records where there is none.
Result<std::string> manifest_digest(const fs::path& data) {
  const fs::path manifest = data / "manifest.json";
  return sha256_file(is_there(manifest) ? manifest : data / "train.jsonl");
}

// mlx-lm's arguments without those that name places on this machine, and ours.
std::string voice_settings(const TrainingConfig& config) {
  auto json = nlohmann::ordered_json::parse(mlx_lm_arguments(config), nullptr, false);
  for (const char* place : {"adapter_path", "config", "data", "model", "project_name", "report_to",
                            "resume_adapter_file", "hf_dataset"})
    json.erase(place);
  json["compat"] = config.compat_mlx ? nlohmann::ordered_json("mlx") : nlohmann::ordered_json();
  if (config.epochs) json["epochs"] = *config.epochs;
  if (config.max_grad_norm) json["max_grad_norm"] = *config.max_grad_norm;
  return json.dump();
}

Result<AdapterTexts> adapter_texts(const TrainingSetup& setup, const std::string& base_digest) {
  VoiceFile voice;
  voice.prompt_form = setup.form;
  voice.prefix_sha256 = prompt_prefix_sha256(setup.form);
  voice.base_digest = base_digest;
  BOBBY_TRY(voice.data_sha256, manifest_digest(setup.config.data));
  voice.settings = voice_settings(setup.config);
  return AdapterTexts{mlx_lm_arguments(setup.config), voice_file_json(voice)};
}

// A cache of inputs is of use only when records come by more than once.
std::size_t input_cache_bytes(const TrainingSetup& setup) {
  const TrainingConfig& config = setup.config;
  constexpr std::uint64_t kUnknown = std::uint64_t{1} << 30;
  const std::int64_t records = setup.data.training_count();
  const std::int64_t seen =
      config.epochs ? *config.epochs * records : config.iters * config.batch_size;
  if (!config.cache_inputs || seen <= records) return 0;
  const std::uint64_t free = available_memory();  // the cache is in host memory
  return static_cast<std::size_t>(free > 0 ? free / 4 : kUnknown);
}

Result<void> load_network(const Settings& settings, TrainingSetup& setup) {
  BOBBY_TRY(setup.backend, make_backend(settings));
  setup.available = settings.text(Opt::kDevice).starts_with("cuda") ? 0 : available_memory();
  BOBBY_TRY(setup.network, Network::load(setup.model_folder, *setup.backend,
                                         {.lora = lora_settings(setup.config),
                                          .dropout_seed = setup.config.seed,
                                          .grad_checkpoint = setup.config.grad_checkpoint,
                                          .input_cache_bytes = input_cache_bytes(setup)}));
  return {};
}

Result<void> check_identity(const RunIdentity& then, const RunIdentity& now,
                            const TrainingSetup& setup) {
  std::vector<Error> problems;
  if (then.data_sha256 != now.data_sha256)
    problems.push_back({.code = ErrorCode::kMismatch,
                        .where = setup.config.data,
                        .problem = "is not the data that the run began with",
                        .hint = "records, prompt form or tokenizer have changed: begin a new run, "
                                "from its adapter with resume_adapter_file"});
  if (then.base_digest != now.base_digest)
    problems.push_back({.code = ErrorCode::kMismatch,
                        .where = setup.model_folder.string(),
                        .problem = "is not the model that the run began with"});
  if (!problems.empty()) return fail(join_errors(std::move(problems)));
  return {};
}

std::int64_t longest_example(const TrainingData& data) {
  std::int64_t longest = 1;
  for (const Dataset* dataset : {&data.training, &data.validation, &data.test})
    for (const TrainingExample& example : dataset->examples)
      longest = std::max(longest, example.length());
  return longest;
}

std::int64_t pack_tokens(const TrainingSetup& setup) {
  if (setup.config.pack_tokens > 0) return setup.config.pack_tokens;
  constexpr std::uint64_t kUnknown = std::uint64_t{16} << 30;
  const std::uint64_t device = setup.backend->memory_left();
  const std::uint64_t free = device > 0 ? device : setup.available;
  const std::uint64_t bytes = free > 0 ? free / 2 : kUnknown;
  return choose_pack_tokens(*setup.network, longest_example(setup.data), bytes);
}

}  // namespace

Result<std::unique_ptr<TrainingSetup>> set_up_training(const Settings& settings, bool plan,
                                                       const hub::PullWatch& watch) {
  auto setup = std::make_unique<TrainingSetup>();
  fs::path folder;
  if (settings.given(Opt::kResume)) {
    folder = run_folder(settings.text(Opt::kResume));
    if (!plan && is_there(folder)) BOBBY_CHECK(take_folder(settings, *setup, folder));
    BOBBY_TRY(setup->checkpoint, read_checkpoint(folder));
  }
  const RunIdentity* saved = setup->checkpoint ? &setup->checkpoint->identity : nullptr;
  BOBBY_TRY(RunIdentity identity, read_run_config(settings, saved, setup->config));
  if (saved != nullptr) setup->config.adapter_path = folder;
  folder = setup->config.adapter_path;
  setup->notes = setup->config.notes;
  BOBBY_TRY(setup->model_folder, obtain_model(setup->config.model, settings, watch));
  BOBBY_TRY(const ModelConfig model, ModelConfig::load(setup->model_folder));
  setup->model_type = model.model_type;
  if (!plan && !setup->lock) BOBBY_CHECK(take_folder(settings, *setup, folder));
  BOBBY_TRY(const Tokenizer tokenizer,
            Tokenizer::from_file(setup->model_folder / "tokenizer.json"));
  BOBBY_CHECK(read_data(*setup, tokenizer));
  for (const Dataset* dataset : {&setup->data.training, &setup->data.validation, &setup->data.test})
    note_dataset(*dataset, setup->config.max_seq_length, setup->notes);
  BOBBY_TRY(identity.data_sha256, data_digest(*setup));
  BOBBY_TRY(identity.base_digest, model_digest(setup->model_folder));
  if (saved != nullptr) BOBBY_CHECK(check_identity(*saved, identity, *setup));
  BOBBY_TRY(AdapterTexts texts, adapter_texts(*setup, identity.base_digest));
  BOBBY_CHECK(load_network(settings, *setup));
  setup->run = {.config = &setup->config,
                .network = setup->network.get(),
                .data = &setup->data,
                .folder = folder,
                .pack_tokens = pack_tokens(*setup),
                .identity = std::move(identity),
                .texts = std::move(texts)};
  return setup;
}

}  // namespace bobby
