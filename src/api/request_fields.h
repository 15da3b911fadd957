#pragma once

#include <atomic>
#include <bobby/generator.h>
#include <exception>
#include <fmt/format.h>

#include "api/field_settings.h"
#include "app/engine.h"
#include "app/voice_setup.h"
#include "base/result.h"
#include "posts/post_writer.h"

namespace bobby::api {

/// The fields that all requests have; works on every public struct with them.
template <typename Options>
void set_sampling(FieldSettings& fields, const Options& options) {
  fields.set_integer(Opt::kMaxTokens, options.max_tokens);
  fields.set_number(Opt::kTemperature, options.temperature);
  fields.set_number(Opt::kTopP, options.top_p);
  fields.set_integer(Opt::kTopK, options.top_k);
  fields.set_number(Opt::kMinP, options.min_p);
  fields.set_number(Opt::kRepetitionPenalty, options.repetition_penalty);
  if (options.seed) fields.set(Opt::kSeed, fmt::format("{}", *options.seed));
}

/// The fields that say where a model runs.
template <typename Options>
void set_device(FieldSettings& fields, const Options& options) {
  if (!options.device.empty()) fields.set(Opt::kDevice, options.device);
  fields.set_integer(Opt::kThreads, options.threads);
  if (!options.kv.empty()) fields.set(Opt::kKv, options.kv);
  if (!options.activations.empty()) fields.set(Opt::kActivations, options.activations);
}

/// What `options` asks for in that voice, without adapters and callbacks.
Result<PostRequest> make_request(const v1::GenerateOptions& options, const VoiceSetup& voice);

/// The batch of a request for `count` posts, as the public type.
v1::PostBatch to_public(PostBatch batch, std::int64_t count);

ProgressFn to_inner(const v1::ProgressFn& progress);

/// Puts the callbacks of `options` into a request. None of their exceptions reaches the engine: the
/// first one stops the request and is kept. Must outlive the request's run.
class Callbacks {
 public:
  Callbacks(const v1::GenerateOptions& options, PostRequest& request);
  /// Throws what a callback threw, if one did.
  void rethrow() const;

 private:
  template <typename Call>
  void guarded(Call call);

  std::atomic<bool> own_cancel_ = false;
  std::atomic<bool>* cancel_;
  std::atomic_flag thrown_;
  std::exception_ptr exception_;
};

}  // namespace bobby::api
