#include "cli/bot_writing.h"

#include <fmt/format.h>

#include "app/device.h"
#include "app/engine.h"
#include "app/obtain.h"
#include "app/post_setup.h"
#include "app/voice_setup.h"
#include "cli/pull_view.h"
#include "cli/signals.h"
#include "posts/post_writer.h"

namespace bobby::cli {
namespace {

std::string adapter_names(const std::vector<ChosenAdapter>& adapters) {
  std::string names;
  for (const ChosenAdapter& adapter : adapters)
    names += (names.empty() ? "" : " ") + adapter.name.name;
  return names;
}

}  // namespace

Result<StoredDrafts> write_drafts(const Invocation& invocation, BotStore& store,
                                  const bot::PostMaker& maker, const DraftOrder& order) {
  const Settings& settings = invocation.settings;
  Console& console = invocation.console;
  const std::atomic<bool>& stop = order.stop != nullptr ? *order.stop : cancelled();
  BOBBY_TRY(bot::NoveltyIndex past, past_texts(settings, store));
  const auto watch = [&stop, view = pull_view(console, settings)](const auto& progress) {
    if (stop) throw Interrupted();
    view(progress);
  };
  BOBBY_TRY(const auto folder, obtain_model(settings.text(Opt::kModel), settings, watch));
  BOBBY_TRY(const auto adapters, load_adapters(settings, watch));
  Generator generator(
      [&](const ProgressFn& progress) {
        return load_model(settings, folder, TokenizerUse::kRequired, progress);
      },
      {.kv_format = kv_format(settings)});
  const auto load_watch = [&stop, bar = console.progress()](const Progress& progress) {
    if (stop) throw Interrupted();
    bar(progress);
  };
  BOBBY_TRY(const auto loaded, generator.prewarm(load_watch));
  console.end_progress();
  BOBBY_TRY(const std::vector<AdapterUse> attached, attach_adapters(generator, adapters));
  BOBBY_TRY(const VoiceSetup voice,
            set_up_voice(settings, folder, loaded->model->config().model_type, adapters));
  for (const std::string& warning : voice.warnings) console.note("bobby: " + warning);

  PostRequest request = post_request(settings, voice);
  if (!order.prompt.empty()) request.prompt = order.prompt;
  if (order.new_seed) request.seed = draw_seed();
  request.adapters = attached;
  request.cancel = &stop;
  PostWriter writer(generator);
  bot::DraftWriter drafts([&writer](const PostRequest& asked) { return writer.write(asked); },
                          maker, past);
  StoredDrafts stored;
  BOBBY_TRY(stored.written, drafts.write(request, {.count = order.count,
                                                   .candidates = static_cast<std::uint32_t>(
                                                       settings.integer(Opt::kCandidates))}));
  for (const bot::Candidate& candidate : stored.written.kept) {
    BOBBY_TRY(store::Draft draft,
              store.drafts->create({.text = candidate.text,
                                    .prompt = request.prompt,
                                    .adapter = adapter_names(adapters),
                                    .seed = static_cast<std::int64_t>(stored.written.seed),
                                    .graphemes = candidate.graphemes}));
    stored.drafts.push_back(std::move(draft));
  }
  return stored;
}

}  // namespace bobby::cli
