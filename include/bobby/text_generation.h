#pragma once

#include <bobby/export.h>
#include <bobby/result.h>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bobby::v1 {

struct Internal;  // the library's own way in

/// Where a model, an adapter or a tokenizer lies; one of the two.
struct Source {
  std::string path = {};  ///< a folder
  /// ORG/NAME[@revision] of the Hugging Face hub: what its cache lacks is downloaded, unless
  /// HF_HUB_OFFLINE is set.
  std::string hf = {};
};

/// Where a model runs; as in GeneratorOptions.
struct ModelOptions {
  std::string device = {};
  int threads = 0;
  std::string kv = {};
  std::string activations = {};
};

/// A loaded model; copies share it.
class BOBBY_API Model {
 public:
  struct Impl;

  /// config.json's model_type: "qwen3", "llama".
  std::string_view type() const;
  std::int64_t vocab_size() const;

 private:
  friend struct Internal;
  explicit Model(std::shared_ptr<Impl> impl);

  std::shared_ptr<Impl> impl_;
};

struct AdapterOptions {
  std::optional<float> scale = {};  ///< in place of the folder's own
};

/// A LoRA adapter, read and checked for itself; copies share it. A default one is none.
class BOBBY_API Adapter {
 public:
  struct Impl;

  Adapter() = default;
  explicit operator bool() const { return impl_ != nullptr; }
  /// What multiplies B(Ax); 0 for none.
  float scale() const;

 private:
  friend struct Internal;
  explicit Adapter(std::shared_ptr<const Impl> impl);

  std::shared_ptr<const Impl> impl_;
};

/// Text to token ids and back; copies share it.
class BOBBY_API Tokenizer {
 public:
  struct Impl;

  /// No bos or eos is added.
  std::vector<std::int32_t> encode(std::string_view text) const;
  /// kLimit names an id that the vocabulary does not have.
  Result<std::string> decode(std::span<const std::int32_t> ids, bool skip_special = false) const;
  std::int64_t vocab_size() const;

 private:
  friend struct Internal;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);

  std::shared_ptr<const Impl> impl_;
};

/// Loads an MLX-format model folder. kNotFound says where it was looked for.
BOBBY_API Result<Model> load_model(const Source& source, const ModelOptions& options = {});
/// Reads an mlx-lm or PEFT adapter folder, or a GGUF adapter file.
BOBBY_API Result<Adapter> load_adapter(const Source& source, const AdapterOptions& options = {});
/// Reads tokenizer.json of a folder.
BOBBY_API Result<Tokenizer> load_tokenizer(const Source& source);

/// How prompts are completed; ranges and defaults as in GenerateOptions.
struct TextGenerationOptions {
  Adapter adapter = {};                ///< the voice
  std::vector<Adapter> adapters = {};  ///< further ones; all are summed
  std::int64_t batch_size = 1;         ///< prompts that are completed together
  std::int64_t sequence_length =
      0;                         ///< tokens of a prompt and its completion; 0: the model's limit
  std::string prompt_form = {};  ///< "": as the adapter or the model says; "raw": the prompt alone
  std::optional<std::string> system = {};
  std::int64_t max_tokens = 100;
  float temperature = 0.7f;
  float top_p = 0.9f;
  std::int64_t top_k = 0;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  std::optional<std::uint64_t> seed = {};  ///< unset: one is drawn for each batched_run()
};

/// What the model wrote after a prompt, as it is.
struct Completion {
  std::string text = {};
  std::int64_t tokens = 0;
  std::string finish_reason = {};  ///< "stop", "length"
  std::uint64_t seed = 0;
  double mean_logprob = 0.0;
};

/// A model, its tokenizer and adapters, ready to complete prompts; copies share it. Its methods may
/// be called from any thread.
class BOBBY_API TextGeneration {
 public:
  struct Impl;

  Result<Completion> batched_run(std::string_view prompt) const;
  /// One completion for each prompt, in that order: what the same prompt alone, with the same seed,
  /// is completed to. The error of the first prompt that has one.
  Result<std::vector<Completion>> batched_run(std::span<const std::string> prompts) const;
  Result<std::vector<Completion>> batched_run(std::initializer_list<std::string> prompts) const {
    return batched_run(std::span<const std::string>(prompts.begin(), prompts.size()));
  }

 private:
  friend struct Internal;
  explicit TextGeneration(std::shared_ptr<Impl> impl);

  std::shared_ptr<Impl> impl_;
};

/// kUsage: a value out of its range, or a model that already serves with another tokenizer;
/// kMismatch: an adapter or a tokenizer of another model.
BOBBY_API Result<TextGeneration> text_generation(const Model& model, const Tokenizer& tokenizer,
                                                 const TextGenerationOptions& options = {});

}  // namespace bobby::v1
