#pragma once

#include <vector>

#include "server/api/completion_json.h"
#include "server/api/openai_request.h"
#include "server/api/service.h"

namespace bobby::server {

/// A request as the engine and the answer's writer take it.
struct OpenAiPlan {
  std::vector<GenerationRequest> runs;  ///< one for each prompt
  AnswerHead head;
  bool stream = false;
};

/// What the requests ask of the engine, the server's own settings where they say nothing. Reads
/// files for adapters that were not in use yet. kNotFound: no such model or adapter.
Result<OpenAiPlan> plan_chat(Service& service, const ChatRequest& request);
Result<OpenAiPlan> plan_completion(Service& service, const CompletionRequest& request);

/// `fields` over the settings of `sampling`.
Sampling merged(const SamplingFields& fields, Sampling sampling);

/// Seconds since 1970.
std::int64_t unix_seconds();

/// A seed for a request without one; short enough for every JSON reader.
std::uint64_t draw_seed();

}  // namespace bobby::server
