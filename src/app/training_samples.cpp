#include <utility>

#include "app/device.h"
#include "app/engine.h"
#include "app/training_setup.h"
#include "generation/generator.h"
#include "posts/post_writer.h"
#include "training/trained_adapter.h"

namespace bobby {

struct TrainingSamples::State {
  const Settings& settings;
  const TrainingSetup& setup;
  Generator generator;
};

TrainingSamples::TrainingSamples(const Settings& settings, const TrainingSetup& setup)
    : state_(new State{settings, setup,
                       Generator(
                           [&settings, folder = setup.model_folder](const ProgressFn& progress) {
                             return load_model(settings, folder, TokenizerUse::kRequired, progress);
                           },
                           {.kv_format = kv_format(settings)})}) {}

TrainingSamples::~TrainingSamples() = default;

Result<std::vector<SampleText>> TrainingSamples::write(std::int64_t iteration,
                                                       std::span<const TrainableTensor> tensors) {
  const SampleSettings& wanted = *state_->setup.config.samples;
  BOBBY_TRY(auto attached, state_->generator.attach(std::make_shared<const Adapter>(
                               trained_adapter(state_->setup.config, tensors))));
  PostWriter writer(state_->generator);
  std::vector<SampleText> samples;
  for (const std::string& prompt : wanted.prompts) {
    PostRequest request;
    request.prompt = prompt;
    request.count = static_cast<std::uint32_t>(wanted.count);
    request.form = state_->setup.form;
    request.rules.min_chars = 0;
    request.retries = 0;
    request.max_tokens = wanted.max_tokens;
    request.sampling.temperature = static_cast<float>(wanted.temperature);
    request.sampling.top_p = static_cast<float>(wanted.top_p);
    request.seed = wanted.seed;
    request.adapters = {{attached, 1.0f}};
    BOBBY_TRY(PostBatch batch, writer.write(request));
    // What would be no post is a sample all the same.
    for (Post& post : batch.posts)
      samples.push_back({iteration, prompt, wanted.seed, std::move(post.text)});
    for (RejectedTry& rejected : batch.rejected)
      samples.push_back({iteration, prompt, wanted.seed, std::move(rejected.text)});
  }
  return samples;
}

}  // namespace bobby
