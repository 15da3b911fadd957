#include "server/api/status_endpoint.h"

#include <chrono>
#include <fmt/format.h>
#include <string>

#include "server/api/errors.h"

namespace bobby::server {
namespace {

using boost::asio::awaitable;

http::Response ready_response(const Service& service) {
  const Readiness::Snapshot now = service.readiness.now();
  Json json;
  switch (now.state) {
    case Readiness::State::kReady:
      return json_response({{"status", "ready"}, {"model", service.model}, {"device", now.device}});
    case Readiness::State::kLoading:
      json = {
          {"status", "loading"}, {"phase", now.phase}, {"done", now.done}, {"total", now.total}};
      break;
    case Readiness::State::kFailed: json = {{"status", "failed"}, {"error", now.error}}; break;
    case Readiness::State::kDraining: json = {{"status", "draining"}}; break;
  }
  http::Response response = json_response(json, 503);
  response.fields.emplace_back("Retry-After", "1");
  return response;
}

/// The settings as numbers that read as they were written: 0.7, not 0.699999988079071.
double plain(float value) {
  return std::stod(fmt::format("{}", value));
}

}  // namespace

awaitable<void> answer_health(Service&, http::Exchange& exchange) {
  const Json answer = {{"status", "alive"}};
  http::Response response = json_response(answer);
  co_await exchange.respond(std::move(response));
}

awaitable<void> answer_ready(Service& service, http::Exchange& exchange) {
  http::Response response = ready_response(service);
  co_await exchange.respond(std::move(response));
}

awaitable<void> answer_settings(Service& service, http::Exchange& exchange) {
  const Defaults& defaults = service.defaults;
  Json names = Json::array();
  for (const AdapterChoice& choice : defaults.adapters) names.push_back(choice.name);
  const auto read_voice = [&service] { return service.adapters->voice(service.defaults.adapters); };
  const Result<Voice> voice = co_await in_background(service, read_voice);
  const std::int64_t limit = voice ? voice->rules.char_limit : defaults.post.rules.char_limit;
  const Json answer = {{"model", service.model},
                       {"adapters", std::move(names)},
                       {"count", defaults.post.count},
                       {"max_tokens", defaults.post.max_tokens},
                       {"temperature", plain(defaults.post.sampling.temperature)},
                       {"top_p", plain(defaults.post.sampling.top_p)},
                       {"char_limit", limit},
                       {"suggestions", defaults.suggestions}};
  http::Response response = json_response(answer);
  co_await exchange.respond(std::move(response));
}

awaitable<void> answer_metrics(Service& service, http::Exchange& exchange) {
  const std::vector<AdapterEntry> adapters = service.adapters->list();
  const MemoryStats memory = service.generator->memory_stats();
  MetricsInput input;
  input.model = service.model;
  input.engine = service.generator->stats();
  input.adapters = adapters;
  input.adapters_loaded = service.adapter_counts.loaded;
  input.adapters_failed = service.adapter_counts.failed;
  if (service.transport) input.transport = service.transport();
  input.ready = service.readiness.now().state == Readiness::State::kReady;
  input.peak_rss_bytes = memory.peak_rss_bytes;
  input.weight_bytes = memory.weight_bytes;
  input.now_seconds =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  http::Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = metrics_text(input);
  co_await exchange.respond(std::move(response));
}

}  // namespace bobby::server
