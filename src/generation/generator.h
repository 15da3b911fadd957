#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "generation/engine_options.h"
#include "generation/engine_stats.h"
#include "generation/loaded_model.h"
#include "generation/prefix_list.h"
#include "generation/request.h"
#include "generation/trace.h"
#include "lora/adapter.h"
#include "model/model.h"

namespace bobby {

using GeneratorOptions = EngineOptions;

/// Bytes, as far as they are known here.
struct MemoryStats {
  std::size_t weight_bytes = 0;    ///< of the mapped model, 0 before it is loaded
  std::size_t kv_bytes = 0;        ///< of the KV pool
  std::uint64_t kv_saturated = 0;  ///< numbers, not bytes: those that fp16 cells could not hold
  std::size_t peak_rss_bytes = 0;  ///< of the process so far
};

/// Prompts to completions: a model that loads at first use, and an engine that decodes the rows of
/// all requests together. All methods may be called from any thread. What a request writes does not
/// depend on what runs beside it.
class Generator {
 public:
  explicit Generator(ModelLoader loader, GeneratorOptions options = {});
  /// Requests that have not ended end with kCancelled.
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  /// Loads the model unless it is there, and returns it. The loader's Error otherwise.
  Result<std::shared_ptr<LoadedModel>> prewarm(const ProgressFn& progress = {});
  bool loaded() const;

  /// Uploads `adapter` for use in requests (AdapterUse), loading the model first if need be. The
  /// base is not touched; the adapter goes when nobody holds it any more. Must not outlive this.
  Result<std::shared_ptr<const AttachedAdapter>> attach(std::shared_ptr<const Adapter> adapter,
                                                        float factor = 1.0f);

  /// One completion for each of request.samples, in that order. kUsage names every bad field;
  /// kLimit: a prompt that leaves no room in the context or in the KV pool; kNumeric: NaN or
  /// infinite logits; kCancelled: cancelled before the first token. Cancelled later, rows end as
  /// they are. kTimeout: past request.deadline. kBusy: as submit().
  Result<std::vector<Completion>> generate(GenerationRequest request);

  /// The same without waiting: `on_done` is called exactly once, from the engine's thread, unless
  /// this fails. kBusy: max_rows + max_queue requests have not ended yet; kCancelled: drain() was
  /// called. Callbacks of the request and on_done must neither block nor throw; what the request
  /// points to must live until on_done.
  using OnDone = std::function<void(Result<std::vector<Completion>>)>;
  Result<void> submit(GenerationRequest request, OnDone on_done);

  /// Takes no more requests, and returns when those that were taken have ended.
  void drain();

  /// Writes what the prefix cache holds, between two steps; nothing is listed before the model is
  /// loaded. Not from a callback. Whatever `sink` fails with, or the device.
  Result<void> save_prefixes(const PrefixSink& sink);
  /// Puts into the prefix cache what save_prefixes() wrote, as much of it as there is room for,
  /// loading the model first if need be. Blocks taken. The caller answers for their having been
  /// computed by the same base on the same backend, with the same options. kMalformed; whatever
  /// `source` fails with: then nothing was taken.
  Result<std::int64_t> load_prefixes(const PrefixSource& source);

  MemoryStats memory_stats() const;
  /// All zeros before the model is loaded.
  EngineStats stats() const;
  /// Of the request that ended last with completions.
  GenerationTrace last_trace() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bobby
