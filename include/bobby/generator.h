#pragma once

#include <atomic>
#include <bobby/export.h>
#include <bobby/result.h>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bobby::v1 {

/// How far a long piece of work is.
struct Progress {
  std::string_view phase = {};  ///< "weights", "tokenizer", "prefill"; valid during the call
  std::uint64_t done = 0;
  std::uint64_t total = 0;  ///< in the same unit; 0: unknown
};
using ProgressFn = std::function<void(const Progress&)>;

/// Where a Generator finds its model, and where it runs. "" and 0 mean the default, which is that
/// of `bobby post`. Neither BOBBY_* variables nor config files are read.
struct GeneratorOptions {
  std::string model = {};  ///< a folder, an installed model's name, or ORG/NAME[@revision] of the
                           ///< Hugging Face hub; "": the demo model
  std::vector<std::string> adapters = {};  ///< folders or names, ":SCALE" for another scale; summed
  std::string device = {};                 ///< "cpu", "reference", "cuda", "cuda:1"
  int threads = 0;                         ///< 0: one for each processor
  std::string kv = {};                     ///< "f16", "f32", "int8"
  std::string activations = {};            ///< "q15", "int8"
  std::string prompt_form = {};            ///< "": as the adapter or the model says
  std::int64_t max_context = 0;            ///< tokens of a sequence; 0: the model's own limit
};

/// What to write, and how. What is unset is as for `bobby post`; ranges are the same, too.
struct GenerateOptions {
  std::string prompt = "Write a post in your style";
  std::optional<std::string> system = {};  ///< in place of the model's own message; "": none
  std::int64_t count = 1;                  ///< posts
  std::int64_t max_tokens = 100;           ///< of one post
  float temperature = 0.7f;                ///< 0: always the likeliest token
  float top_p = 0.9f;
  std::int64_t top_k = 0;  ///< 0: all
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  std::optional<std::uint64_t> seed =
      {};  ///< the same seed writes the same posts; unset: one is drawn

  bool raw = false;  ///< what the model wrote: nothing cleaned, nothing rejected
  std::optional<std::int64_t> char_limit =
      {};  ///< in graphemes, 0: none; unset: the voice's own, or 300
  std::optional<std::int64_t> min_chars = {};  ///< unset: the voice's own, or 20
  std::optional<bool> keep_emojis = {};
  std::optional<bool> keep_hashtags = {};
  bool hard_limit = false;   ///< do not lead a post to the end of a sentence near char_limit
  std::int64_t retries = 5;  ///< further tries for a post that is not acceptable

  /// Raw text of post `index` as it is written; `attempt` counts from 0. May be called from another
  /// thread. An exception of it stops the writing and comes out of generate().
  std::function<void(std::uint32_t index, int attempt, std::string_view text)> on_text = {};
  ProgressFn on_prefill = {};  ///< tokens of the prompt; as on_text
  /// Set it, from any thread, to stop. generate() sets it itself when a callback throws.
  std::atomic<bool>* cancel = nullptr;
};

/// An accepted post, and how it came about.
struct Post {
  std::uint32_t index = 0;  ///< its number within the request
  std::string text = {};
  std::int64_t graphemes = 0;
  std::int64_t tokens = 0;
  std::uint64_t seed = 0;
  std::string finish_reason = {};  ///< "stop", "length", "length_limit"
  int tries = 1;
  double mean_logprob = 0.0;
  double prefill_ms = 0.0;
  double decode_tok_s = 0.0;
};

/// A try that did not become a post.
struct RejectedTry {
  std::uint32_t index = 0;
  int attempt = 0;
  std::string reason = {};  ///< "empty", "too short", "duplicate", "cancelled"
  std::string text = {};
};

/// What became of a request.
struct PostBatch {
  std::uint64_t seed = 0;
  std::vector<Post> posts = {};  ///< accepted, by index; fewer than `count` when tries ran out
  std::vector<RejectedTry> rejected = {};
  std::int64_t missing = 0;  ///< of `count`
  bool cancelled = false;    ///< `posts` holds what was complete by then
};

/// The batch as one JSON object, of the shape that `POST /v1/posts` answers with.
BOBBY_API std::string to_json(const PostBatch& batch);

/// Bytes, as far as they are known here.
struct MemoryStats {
  std::size_t weight_bytes = 0;    ///< of the mapped model, 0 before it is loaded
  std::size_t kv_bytes = 0;        ///< of the KV pool
  std::uint64_t kv_saturated = 0;  ///< numbers that fp16 cells of the pool could not hold
  std::size_t peak_rss_bytes = 0;  ///< of the process so far
};

/// Writes posts. Loads its model at first use or at prewarm(). All methods may be called from any
/// thread, generate() from several at once. What a request writes depends on it and its seed alone.
class BOBBY_API Generator {
 public:
  explicit Generator(GeneratorOptions options = {});
  ~Generator();
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator&&) noexcept;

  /// Loads the model and the adapters unless they are there. After a failure it may be called
  /// again.
  Result<void> prewarm(const ProgressFn& progress = {});
  bool loaded() const;
  /// E.g. that an adapter was trained with another prompt form; empty before the model is loaded.
  std::vector<std::string> warnings() const;

  /// kUsage names every field that is out of its range. A batch without posts is no error:
  /// `rejected` says why.
  Result<PostBatch> generate(const GenerateOptions& options = {});

  MemoryStats memory_stats() const;
  /// Where the time of the last request went, as JSON: what `bobby post --trace` writes.
  std::string last_trace() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bobby::v1
