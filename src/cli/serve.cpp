// bobby serve: the HTTP API and its page.

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <mutex>
#include <optional>
#include <thread>

#include "app/adapter_registry.h"
#include "app/bot/account.h"
#include "app/bot/setup.h"
#include "app/device.h"
#include "app/engine.h"
#include "app/obtain.h"
#include "app/post_setup.h"
#include "app/prompt_cache.h"
#include "app/version.h"
#include "base/sha256.h"
#include "cli/command.h"
#include "cli/post_options.h"
#include "cli/pull_view.h"
#include "cli/termination.h"
#include "posts/sentence_finish.h"
#include "server/api/posts_request.h"
#include "server/api/routes.h"
#include "server/http/api_keys.h"
#include "server/http/server.h"
#include "store/draft_store.h"

namespace bobby::cli {
namespace {

constexpr std::int64_t kPostsUnlessSaid = 3;
constexpr int kMostServerThreads = 4;  // they only pass on what the engine makes
// How long a drain waits where requests may take any time.
constexpr std::chrono::hours kAnyTime{24};
constexpr std::chrono::milliseconds kDrainPause{20};
constexpr std::chrono::milliseconds kLastAnswers{2000};

/// Lines on stderr from any thread, whole.
class Lines {
 public:
  explicit Lines(Console& console) : console_(console) {}
  void note(std::string_view line) {
    const std::lock_guard lock(mutex_);
    console_.note(line);
  }

 private:
  std::mutex mutex_;
  Console& console_;
};

/// Stops a load that is under way.
struct LoadStopped {};

/// The name that clients know the model by.
std::string model_name(const std::string& given, const std::filesystem::path& folder) {
  std::error_code status;
  if (!std::filesystem::exists(given, status)) return given;
  const auto whole = std::filesystem::weakly_canonical(folder, status);
  return status || !whole.has_filename() ? given : whole.filename().string();
}

/// Of what answers depend on, beside what a request says.
std::string fingerprint(const Settings& settings, const std::string& model) {
  const std::string text = fmt::format("{} {} {} {}", kVersion, model, settings.text(Opt::kDevice),
                                       kv_format_name(kv_format(settings)));
  return "fp_" + sha256_hex(std::as_bytes(std::span(text))).substr(0, 12);
}

server::Defaults make_defaults(const Settings& settings, const AdapterRegistry& adapters) {
  server::Defaults defaults;
  defaults.post = post_settings(settings);
  const bool said = settings.setting(Opt::kCount).origin != Setting().origin;
  const std::int64_t count = said ? settings.integer(Opt::kCount) : kPostsUnlessSaid;
  defaults.post.count =
      static_cast<std::uint32_t>(std::min<std::int64_t>(count, server::kMostPosts));
  defaults.adapters = adapters.defaults();
  return defaults;
}

GeneratorOptions generator_options(const Settings& settings) {
  GeneratorOptions options;
  options.kv_format = kv_format(settings);
  options.max_rows = settings.integer(Opt::kMaxRows);
  options.max_queue = settings.integer(Opt::kMaxQueue);
  options.kv_bytes = static_cast<std::size_t>(settings.integer(Opt::kKvMemory)) * 1000000;
  options.prefix_cache = true;
  return options;
}

Result<http::ServerOptions> server_options(const Settings& settings, Lines& lines) {
  http::ServerOptions options;
  options.host = settings.text(Opt::kHost);
  options.port = static_cast<std::uint16_t>(settings.integer(Opt::kPort));
  if (settings.given(Opt::kUnixSocket)) options.unix_socket = settings.text(Opt::kUnixSocket);
  options.allowed_origins = settings.texts(Opt::kAllowOrigin);
  if (settings.given(Opt::kApiKeyFile)) {
    BOBBY_TRY(http::KeyFile file, http::read_key_file(settings.text(Opt::kApiKeyFile)));
    if (!file.warning.empty()) lines.note("bobby: " + file.warning);
    options.api_keys = std::move(file.keys);
  }
  return options;
}

Result<std::unique_ptr<store::DraftStore>> open_drafts(const Settings& settings) {
  return store::DraftStore::open(store_file(settings));
}

/// What was computed of prompts, from one run to the next. Without it requests only begin slower,
/// so nothing here ends the server: a line says what is wrong.
class PromptCache {
 public:
  PromptCache(const Settings& settings, std::filesystem::path model_folder, Lines& lines)
      : file_(settings.given(Opt::kPromptCache) ? settings.text(Opt::kPromptCache) : ""),
        model_folder_(std::move(model_folder)),
        options_(generator_options(settings)),
        lines_(lines) {}

  void load(Generator& generator, const LoadedModel& loaded) {
    if (file_.empty()) return;
    auto stamp = prompt_cache_stamp(model_folder_, loaded, options_);
    if (!stamp) return tell(stamp.error());
    stamp_ = *std::move(stamp);
    std::error_code status;
    if (!std::filesystem::exists(file_, status)) return;
    if (const auto amount = load_prompt_cache(file_, *stamp_, generator); amount)
      tell("found", *amount);
    else
      tell(amount.error());
  }

  /// Call when nothing runs any more.
  void save(Generator& generator) const {
    if (!stamp_) return;
    if (const auto amount = save_prompt_cache(file_, *stamp_, generator); amount)
      tell("kept", *amount);
    else
      tell(amount.error());
  }

 private:
  void tell(std::string_view what, const PromptCacheAmount& amount) const {
    lines_.note(fmt::format("bobby: {} {} tokens of prompts in {} ({:.1f} MB)", what, amount.tokens,
                            file_.string(), static_cast<double>(amount.bytes) / 1e6));
  }
  void tell(const Error& error) const {
    lines_.note("bobby: the prompt cache is not used: " + error.to_string());
  }

  std::filesystem::path file_;
  std::filesystem::path model_folder_;
  GeneratorOptions options_;
  Lines& lines_;
  std::optional<PromptCacheStamp> stamp_;  // once the model is loaded
};

/// Loads the model and what every request uses, while the server already answers /ready.
class Loading {
 public:
  Loading(server::Service& service, PromptCache& prompts, Lines& lines)
      : service_(service), prompts_(prompts), lines_(lines), thread_([this] { load(); }) {}
  ~Loading() {
    stopped_ = true;
    thread_.join();
  }

 private:
  void load() {
    try {
      const Result<std::string> device = prewarm();
      if (device) {
        service_.readiness.ready(*device);
        lines_.note(fmt::format("bobby: ready, on {}", *device));
        return;
      }
      service_.readiness.failed(device.error().to_string());
      lines_.note("bobby: " + device.error().to_string());
    } catch (const LoadStopped&) {
    }
  }

  Result<std::string> prewarm() {
    BOBBY_TRY(const auto loaded, service_.generator->prewarm([this](const Progress& progress) {
      if (stopped_) throw LoadStopped();
      service_.readiness.progress(progress);
    }));
    service_.defaults.post.sentence_finish =
        std::make_shared<const SentenceFinish>(*loaded->tokenizer);
    service_.readiness.progress({"adapters", 0, service_.defaults.adapters.size()});
    for (const server::AdapterChoice& choice : service_.defaults.adapters)
      BOBBY_CHECK(service_.adapters->find(choice));
    service_.readiness.progress({"prompt cache", 0, 0});
    prompts_.load(*service_.generator, *loaded);
    return loaded->backend->description();
  }

  server::Service& service_;
  PromptCache& prompts_;
  Lines& lines_;
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

http::Log make_log(const Settings& settings, Lines& lines) {
  const bool json = settings.text(Opt::kLogFormat) == "json";
  return [json, &lines](const http::LogLine& line) {
    lines.note(json ? http::as_json(line) : http::as_logfmt(line));
  };
}

/// Serves until a signal comes; what runs by then is finished.
void serve(http::Server& server, server::Service& service, Generator& generator,
           Termination& termination, Lines& lines) {
  const int threads =
      std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 2, kMostServerThreads);
  std::thread serving([&server, threads] { server.run(threads); });
  termination.wait();
  termination.let_go();
  service.readiness.drain();
  lines.note("bobby: shutting down, what runs is finished; a second signal ends it at once");
  const std::chrono::milliseconds patience =
      service.request_timeout.count() > 0 ? std::chrono::milliseconds(service.request_timeout)
                                          : std::chrono::milliseconds(kAnyTime);
  // Whoever watches /ready still finds it, and new work is refused in words, until what runs ends.
  const auto end = std::chrono::steady_clock::now() + patience;
  while (server.metrics().requests_running > 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(kDrainPause);
  server.drain(kLastAnswers);
  serving.join();
  generator.drain();
}

Result<int> run(const Invocation& invocation) {
  const Settings& settings = invocation.settings;
  // While a signal still ends a download.
  const auto watch = pull_view(invocation.console, settings);
  BOBBY_TRY(const auto folder, obtain_model(settings.text(Opt::kModel), settings, watch));
  for (const std::string& adapter : settings.texts(Opt::kAdapter))
    BOBBY_CHECK(obtain_adapter(adapter, settings, watch));
  invocation.console.end_progress();
  Termination termination;
  Lines lines(invocation.console);
  BOBBY_TRY(const ModelConfig config, ModelConfig::load(folder));
  BOBBY_TRY(const http::ServerOptions options, server_options(settings, lines));
  BOBBY_TRY(const auto drafts, open_drafts(settings));
  BOBBY_TRY(const bot::PostMaker maker, make_post_maker(settings));
  if (settings.given(Opt::kPromptCache))
    BOBBY_CHECK(check_prompt_cache_place(settings.text(Opt::kPromptCache)));

  Generator generator(
      [&](const ProgressFn& progress) {
        return load_model(settings, folder, TokenizerUse::kRequired, progress);
      },
      generator_options(settings));
  BOBBY_TRY(const auto adapters,
            AdapterRegistry::open({.settings = &settings,
                                   .generator = &generator,
                                   .model_folder = folder,
                                   .model_type = config.model_type,
                                   .note = [&lines](std::string_view sentence) {
                                     lines.note(fmt::format("bobby: {}", sentence));
                                   }}));
  BOBBY_CHECK(adapters->voice(adapters->defaults()));  // while someone is looking

  server::Service service;
  service.generator = &generator;
  service.adapters = adapters.get();
  service.drafts = drafts.get();
  service.check_post = [&maker](const std::string& text) { return maker.check(text); };
  service.model = model_name(settings.text(Opt::kModel), folder);
  service.fingerprint = fingerprint(settings, service.model);
  service.started = std::chrono::duration_cast<std::chrono::seconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  service.defaults = make_defaults(settings, *adapters);
  service.request_timeout = std::chrono::seconds(settings.integer(Opt::kRequestTimeout));
  BOBBY_TRY(
      const auto server,
      http::Server::listen(options, server::make_routes(service, settings.flag(Opt::kMetricsKey)),
                           make_log(settings, lines)));
  service.transport = [transport = server.get()] { return transport->metrics(); };
  lines.note(fmt::format("bobby: listening on {}", server->address()));
  PromptCache prompts(settings, folder, lines);
  {
    const Loading loading(service, prompts, lines);
    serve(*server, service, generator, termination, lines);
  }
  prompts.save(generator);
  return kDone;
}

constexpr auto kOptions =
    joined(std::array{Opt::kHost, Opt::kPort, Opt::kUnixSocket, Opt::kApiKeyFile, Opt::kMetricsKey,
                      Opt::kAllowOrigin, Opt::kMaxRows, Opt::kMaxQueue, Opt::kKvMemory,
                      Opt::kRequestTimeout, Opt::kAdapterDir, Opt::kDrafts, Opt::kPromptCache,
                      Opt::kLogFormat, Opt::kDeny, Opt::kDenyFile, Opt::kMentions},
           kPostOptions);
constexpr Example kExamples[] = {
    {"bobby serve", "the page and the API on http://127.0.0.1:4000"},
    {"bobby serve --adapter ./voice:10 --adapter-dir ./voices", "with a voice, and more to choose"},
    {"bobby serve --host 0.0.0.0 --api-key-file keys.txt", "for other machines, which need a key"},
    {"bobby serve --prompt-cache prompts.cache",
     "long system prompts are computed once for all runs"},
    {"bobby serve --unix-socket /run/bobby.sock --log-format json", "behind a proxy"},
};

}  // namespace

const Command kServe = {
    .group = "",
    .name = "serve",
    .summary = "answer over HTTP: a page for people, OpenAI's API for programs",
    .description =
        "Serves the page for writing posts and keeping drafts, POST /v1/posts, and OpenAI's chat "
        "completions and completions; GET /openapi.json describes them. The model is loaded while "
        "it already listens: GET /ready says how far that is. The options of a post are what "
        "requests get that do not say otherwise. The first SIGINT or SIGTERM lets finish what "
        "runs, the second ends it at once.",
    .arguments = {},
    .options = kOptions,
    .examples = kExamples,
    .run = run,
};

}  // namespace bobby::cli
