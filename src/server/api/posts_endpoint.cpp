#include "server/api/posts_endpoint.h"

#include "posts/post_job.h"
#include "server/api/errors.h"
#include "server/api/posts_json.h"
#include "server/api/posts_request.h"
#include "server/api/run_requests.h"

namespace bobby::server {
namespace {

using boost::asio::awaitable;

/// A request for posts on its way. The engine may keep it longer than the coroutine does.
struct Work {
  std::shared_ptr<PostJob> job;
  std::uint32_t count = 0;
  std::uint64_t seed = 0;
  std::int64_t char_limit = 0;
  bool stream = false;
};

Result<Work> plan_posts(Service& service, const PostsBody& body, const http::Request& http) {
  BOBBY_TRY(auto loaded, service.loaded());
  const std::vector<AdapterChoice>& choices =
      body.adapters ? *body.adapters : service.defaults.adapters;
  BOBBY_TRY(auto uses, find_adapters(*service.adapters, choices));
  BOBBY_TRY(const Voice voice, service.adapters->voice(choices));
  PostRequest request = make_post_request(body, voice, service.defaults.post);
  request.adapters = std::move(uses);
  request.client = http.client;
  request.deadline = service.deadline();
  Work work{.job = nullptr,
            .count = request.count,
            .seed = *request.seed,
            .char_limit = request.rules.char_limit,
            .stream = body.stream};
  BOBBY_TRY(work.job, PostJob::make(std::move(request), std::move(loaded)));
  return work;
}

/// Starts `round`, whose callbacks reach into the job: they keep it.
Result<void> start_round(Service& service, Runs& runs, const Work& work, GenerationRequest round) {
  round.on_token = [job = work.job, inner = std::move(round.on_token)](const TokenEvent& event) {
    return inner ? inner(event) : RowAction::kContinue;
  };
  return runs.start(*service.generator, std::move(round),
                    work.stream ? Listen::kToTokens : Listen::kToEnds);
}

/// The end of the run that is under way, if `events` has it.
RunEnd* end_of(std::vector<RunEvent>& events) {
  for (RunEvent& event : events)
    if (auto* end = std::get_if<RunEnd>(&event)) return end;
  return nullptr;
}

awaitable<void> answer_whole(Service& service, http::Exchange& exchange, const Work& work,
                             Runs& runs) {
  std::optional<GenerationRequest> round = work.job->next();
  while (round) {
    Result<void> step = start_round(service, runs, work, *std::move(round));
    while (step) {
      std::vector<RunEvent> events = co_await runs.events();
      RunEnd* end = end_of(events);
      if (end == nullptr) continue;
      step = work.job->take(std::move(end->completions));
      break;
    }
    if (!step) {
      http::Response response = error_response(step.error(), engine_field(step.error()));
      co_await exchange.respond(std::move(response));
      co_return;
    }
    round = work.job->next();
  }
  const Json answer = posts_answer_json(work.job->result(), work.count);
  http::Response response = json_response(answer);
  co_await exchange.respond(std::move(response));
}

/// Events of what came while a round runs. samples[row] tells post and attempt.
std::vector<Json> round_events(const std::vector<RunEvent>& events,
                               const std::vector<std::uint32_t>& samples) {
  std::vector<Json> told;
  for (const RunEvent& event : events) {
    if (const auto* prefill = std::get_if<PrefillPiece>(&event))
      told.push_back(progress_event("prefill", prefill->done, prefill->total));
    const auto* piece = std::get_if<TokenPiece>(&event);
    if (piece == nullptr || piece->text.empty()) continue;
    const std::uint32_t sample = samples[piece->row];
    told.push_back(
        text_event(sample % kTryStride, static_cast<int>(sample / kTryStride), piece->text));
  }
  return told;
}

/// Sends what each of `events` is; false once the client is gone.
awaitable<bool> send_all(http::Events& stream, const std::vector<Json>& events) {
  for (const Json& event : events) {
    std::string text = dump(event);
    const bool sent = co_await stream.send(std::move(text));
    if (!sent) co_return false;
  }
  co_return true;
}

awaitable<bool> send_one(http::Events& stream, Json event) {
  std::string text = dump(event);
  co_return co_await stream.send(std::move(text));
}

/// The rounds of a streamed request, the first of which has been started. What ends it early.
awaitable<Result<void>> stream_rounds(Service& service, http::Events& stream, const Work& work,
                                      Runs& runs, std::vector<std::uint32_t> samples) {
  const auto gone = [] {
    return fail({.code = ErrorCode::kCancelled, .problem = "the client is gone"});
  };
  PostsTold told;
  while (true) {
    std::vector<RunEvent> events = co_await runs.events();
    const std::vector<Json> news = round_events(events, samples);
    bool there = co_await send_all(stream, news);
    if (!there) co_return gone();
    RunEnd* end = end_of(events);
    if (end == nullptr) continue;
    Result<void> taken = work.job->take(std::move(end->completions));
    if (!taken) co_return taken;
    std::optional<GenerationRequest> round = work.job->next();
    const std::vector<Json> settled = told.news(work.job->result());
    there = co_await send_all(stream, settled);
    if (!there) co_return gone();
    if (!round) co_return Result<void>();
    samples = round->samples;
    Result<void> started = start_round(service, runs, work, *std::move(round));
    if (!started) co_return started;
  }
}

awaitable<void> answer_streamed(Service& service, http::Exchange& exchange, const Work& work,
                                Runs& runs) {
  std::optional<GenerationRequest> round = work.job->next();
  std::vector<std::uint32_t> samples;
  if (round) {
    samples = round->samples;
    Result<void> started = start_round(service, runs, work, *std::move(round));
    if (!started) {
      http::Response response = error_response(started.error(), engine_field(started.error()));
      co_await exchange.respond(std::move(response));
      co_return;
    }
  }
  http::Events* stream = co_await exchange.start_events();
  bool there = co_await send_one(*stream, start_event(work.seed, work.count, work.char_limit));
  if (there) there = co_await send_one(*stream, progress_event("queued", 0, 0));
  Result<void> end;
  if (there && !samples.empty())
    end = co_await stream_rounds(service, *stream, work, runs, std::move(samples));
  if (!end || !there) runs.abandon();
  if (!there) co_return;
  Json last = end ? done_event(work.job->result(), work.count) : error_event(end.error());
  there = co_await send_one(*stream, std::move(last));
  std::string done = "[DONE]";
  if (there) co_await stream->send(std::move(done));
}

http::Response plan_failure(const Service& service, const Error& error) {
  if (!service.loaded()) return unready_response(error);
  return error_response(error,
                        error.code == ErrorCode::kNotFound ? "adapters" : engine_field(error));
}

}  // namespace

awaitable<void> answer_posts(Service& service, http::Exchange& exchange) {
  const http::Request& http = exchange.request();
  auto body = parse_posts_body(http.body.empty() ? "{}" : std::string_view(http.body));
  if (!body) {
    http::Response response = field_error_response(body.error());
    co_await exchange.respond(std::move(response));
    co_return;
  }
  const auto plan = [&] { return plan_posts(service, *body, http); };
  Result<Work> work = co_await in_background(service, plan);
  if (!work) {
    http::Response response = plan_failure(service, work.error());
    co_await exchange.respond(std::move(response));
    co_return;
  }
  const auto runs = std::make_shared<Runs>(http.gone);
  if (work->stream)
    co_await answer_streamed(service, exchange, *work, *runs);
  else
    co_await answer_whole(service, exchange, *work, *runs);
}

}  // namespace bobby::server
