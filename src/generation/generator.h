#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "backends/backend.h"
#include "base/progress.h"
#include "base/result.h"
#include "generation/request.h"
#include "generation/trace.h"
#include "lora/adapter.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

namespace bobby {

/// A model ready to run. Members are destroyed last to first, so the model goes before its backend.
struct LoadedModel {
  std::shared_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;
};

/// Makes the model; called at most once at a time, and again only after it failed.
using ModelLoader = std::function<Result<std::shared_ptr<LoadedModel>>(const ProgressFn&)>;

struct GeneratorOptions {
  KvFormat kv_format = KvFormat::kF16;
  std::int64_t max_rows = 16;        ///< rows decoded together; further ones wait for a place
  std::int64_t prefill_chunk = 512;  ///< tokens of a prompt that one step takes at most
  std::int64_t max_context = 0;      ///< tokens of a sequence; 0: the model's own limit
};

/// Bytes, as far as they are known here.
struct MemoryStats {
  std::size_t weight_bytes = 0;    ///< of the mapped model, 0 before it is loaded
  std::size_t kv_bytes = 0;        ///< of the KV pool
  std::uint64_t kv_saturated = 0;  ///< numbers, not bytes: those that fp16 cells could not hold
  std::size_t peak_rss_bytes = 0;  ///< of the process so far
};

/// Prompts to completions: a model that loads at first use, its KV pool and the sampler. All
/// methods may be called from any thread; requests run one after the other.
class Generator {
 public:
  explicit Generator(ModelLoader loader, GeneratorOptions options = {});
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  /// Loads the model unless it is there, and returns it. The loader's Error otherwise.
  Result<std::shared_ptr<LoadedModel>> prewarm(const ProgressFn& progress = {});
  bool loaded() const;

  /// Uploads `adapter` for use in requests (AdapterUse), loading the model first if need be. The
  /// base is not touched; drop the pointer when no request uses it any more. Must not outlive this.
  Result<std::shared_ptr<const AttachedAdapter>> attach(std::shared_ptr<const Adapter> adapter,
                                                        float factor = 1.0f);

  /// One completion for each of request.samples, in that order. kUsage names every bad field;
  /// kLimit: a prompt that leaves no room in the context; kNumeric: NaN or infinite logits;
  /// kCancelled: cancelled before the first token. Cancelled later, rows end as they are.
  Result<std::vector<Completion>> generate(const GenerationRequest& request);

  MemoryStats memory_stats() const;
  /// Of the last request that generate() finished, or how far it came.
  GenerationTrace last_trace() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bobby
