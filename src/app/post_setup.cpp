#include "app/post_setup.h"

#include <random>

namespace bobby {
namespace {

Sampling sampling_of(const Settings& settings) {
  Sampling sampling;
  sampling.temperature =
      settings.flag(Opt::kGreedy) ? 0.0f : static_cast<float>(settings.number(Opt::kTemperature));
  sampling.top_p = static_cast<float>(settings.number(Opt::kTopP));
  sampling.min_p = static_cast<float>(settings.number(Opt::kMinP));
  sampling.top_k = settings.integer(Opt::kTopK);
  sampling.repetition_penalty = static_cast<float>(settings.number(Opt::kRepetitionPenalty));
  return sampling;
}

}  // namespace

std::uint64_t draw_seed() {
  return std::random_device()();
}

PostRequest post_settings(const Settings& settings) {
  PostRequest request;
  request.prompt = settings.text(Opt::kPrompt);
  if (settings.given(Opt::kSystem)) request.system = settings.text(Opt::kSystem);
  request.retries = static_cast<int>(settings.integer(Opt::kRetries));
  request.finish_sentences = !settings.flag(Opt::kHardLimit);
  request.max_tokens = settings.integer(Opt::kMaxTokens);
  request.sampling = sampling_of(settings);
  if (settings.given(Opt::kSeed))
    request.seed = static_cast<std::uint64_t>(settings.integer(Opt::kSeed));
  return request;
}

PostRequest post_request(const Settings& settings, const VoiceSetup& voice) {
  PostRequest request = post_settings(settings);
  request.count = static_cast<std::uint32_t>(settings.integer(Opt::kCount));
  request.form = voice.form;
  request.rules = voice.rules;
  request.raw = settings.flag(Opt::kRaw);
  if (!request.seed) request.seed = draw_seed();
  return request;
}

}  // namespace bobby
