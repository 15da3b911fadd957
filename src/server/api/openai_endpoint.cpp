#include "server/api/openai_endpoint.h"

#include <algorithm>

#include "server/api/errors.h"
#include "server/api/openai_plan.h"
#include "server/api/run_requests.h"

namespace bobby::server {
namespace {

using boost::asio::awaitable;

/// What has come of a request's runs: choice `run * n + row`.
class Collected {
 public:
  explicit Collected(const OpenAiPlan& plan)
      : head_(plan.head), rows_a_run_(plan.runs.front().samples.size()) {
    choices_.resize(plan.runs.size() * rows_a_run_);
    for (std::size_t i = 0; i < choices_.size(); ++i)
      choices_[i].index = static_cast<std::int64_t>(i);
    open_runs_ = plan.runs.size();
  }

  std::size_t index(std::size_t run, std::size_t row) const { return run * rows_a_run_ + row; }

  /// Adds a token to its choice, and returns what there is to tell of it: nothing of a token that
  /// only ends a text.
  std::vector<TokenLogprob> add(const TokenPiece& piece) {
    Choice& choice = choices_[index(piece.run, piece.row)];
    if (piece.finished) choice.finish_reason = *piece.finished;
    std::vector<TokenLogprob> told;
    if (!piece.finished || !head_.tokenizer->is_special(piece.token))
      told.push_back({.token = piece.token,
                      .logprob = piece.logprob,
                      .top = piece.top,
                      .offset = count_code_points(choice.text)});
    choice.text += piece.text;
    choice.logprobs.insert(choice.logprobs.end(), told.begin(), told.end());
    return told;
  }

  void end(const RunEnd& ended) {
    const std::vector<Completion>& completions = *ended.completions;
    for (std::size_t row = 0; row < completions.size(); ++row) {
      Choice& choice = choices_[index(ended.run, row)];
      choice.text = completions[row].text;
      choice.finish_reason = completions[row].finish_reason;
      usage_.completion_tokens += std::ssize(completions[row].tokens);
    }
    if (!completions.empty()) {
      usage_.prompt_tokens += completions.front().prompt_tokens;
      usage_.cached_tokens += completions.front().cached_prompt_tokens;
    }
    --open_runs_;
  }

  bool done() const { return open_runs_ == 0; }
  const std::vector<Choice>& choices() const { return choices_; }
  const Usage& usage() const { return usage_; }

 private:
  const AnswerHead& head_;
  std::size_t rows_a_run_;
  std::size_t open_runs_ = 0;
  std::vector<Choice> choices_;
  Usage usage_;
};

/// The error of a run that failed, if one of `events` is that.
const Error* failure(const std::vector<RunEvent>& events) {
  for (const RunEvent& event : events)
    if (const auto* end = std::get_if<RunEnd>(&event); end != nullptr && !end->completions)
      return &end->completions.error();
  return nullptr;
}

/// A failure of the engine's, about a field of the request as the client knows it.
http::Response run_failure(const AnswerHead& head, const Error& error) {
  const std::string_view field = engine_field(error);
  const bool conversation = head.kind == AnswerKind::kChat && field == "prompt";
  return error_response(error, conversation ? std::string_view("messages") : field);
}

awaitable<void> answer_whole(http::Exchange& exchange, Runs& runs, const OpenAiPlan& plan) {
  Collected collected(plan);
  while (!collected.done()) {
    const std::vector<RunEvent> events = co_await runs.events();
    if (const Error* error = failure(events)) {
      runs.abandon();
      http::Response response = run_failure(plan.head, *error);
      co_await exchange.respond(std::move(response));
      co_return;
    }
    for (const RunEvent& event : events) {
      if (const auto* piece = std::get_if<TokenPiece>(&event)) collected.add(*piece);
      if (const auto* end = std::get_if<RunEnd>(&event)) collected.end(*end);
    }
  }
  const Json answer = answer_json(plan.head, collected.choices(), collected.usage());
  http::Response response = json_response(answer);
  co_await exchange.respond(std::move(response));
}

/// What `event` adds to the stream.
std::vector<Json> chunks_of(const RunEvent& event, Collected& collected, const AnswerHead& head) {
  std::vector<Json> chunks;
  if (const auto* end = std::get_if<RunEnd>(&event)) collected.end(*end);
  const auto* piece = std::get_if<TokenPiece>(&event);
  if (piece == nullptr) return chunks;
  const std::vector<TokenLogprob> told = collected.add(*piece);
  const auto index = static_cast<std::int64_t>(collected.index(piece->run, piece->row));
  if (!piece->text.empty() || (head.logprobs && !told.empty()))
    chunks.push_back(text_chunk(head, index, piece->text, told));
  if (piece->finished) chunks.push_back(finish_chunk(head, index, *piece->finished));
  return chunks;
}

/// Sends what each of `chunks` is; false once the client is gone.
awaitable<bool> send_all(http::Events& stream, const std::vector<Json>& chunks) {
  for (const Json& chunk : chunks) {
    std::string text = dump(chunk);
    const bool sent = co_await stream.send(std::move(text));
    if (!sent) co_return false;
  }
  co_return true;
}

awaitable<bool> send_text(http::Events& stream, std::string text) {
  co_return co_await stream.send(std::move(text));
}

/// Streams from the first events on, which are no failure, to the end.
awaitable<bool> stream_events(http::Events& stream, Runs& runs, const OpenAiPlan& plan,
                              std::vector<RunEvent> events) {
  Collected collected(plan);
  std::vector<Json> first;
  if (plan.head.kind == AnswerKind::kChat)
    for (const Choice& choice : collected.choices())
      first.push_back(role_chunk(plan.head, choice.index));
  bool there = co_await send_all(stream, first);
  while (there) {
    const Error* error = failure(events);
    for (const RunEvent& event : events) {
      if (!there || error != nullptr) break;
      const std::vector<Json> chunks = chunks_of(event, collected, plan.head);
      there = co_await send_all(stream, chunks);
    }
    if (error != nullptr) {
      there = co_await send_text(stream, dump(error_json(*error)));
      break;
    }
    if (!there || collected.done()) break;
    events = co_await runs.events();
  }
  if (there && collected.done() && plan.head.include_usage)
    there = co_await send_text(stream, dump(usage_chunk(plan.head, collected.usage())));
  if (there) there = co_await send_text(stream, "[DONE]");
  co_return there&& collected.done();
}

/// The answer's status is known once the engine has begun: until then a failure is an answer of its
/// own.
awaitable<void> answer_streamed(http::Exchange& exchange, Runs& runs, const OpenAiPlan& plan) {
  std::vector<RunEvent> events = co_await runs.events();
  if (const Error* error = failure(events)) {
    runs.abandon();
    http::Response response = run_failure(plan.head, *error);
    co_await exchange.respond(std::move(response));
    co_return;
  }
  http::Events* stream = co_await exchange.start_events();
  const bool whole = co_await stream_events(*stream, runs, plan, std::move(events));
  if (!whole) runs.abandon();
}

http::Response plan_failure(const Service& service, const Error& error) {
  if (!service.loaded()) return unready_response(error);
  if (error.where.starts_with("lora")) return error_response(error, "lora");
  return error_response(error, error.code == ErrorCode::kNotFound ? "model" : engine_field(error));
}

awaitable<void> answer(Service& service, http::Exchange& exchange, Result<OpenAiPlan> planned) {
  if (!planned) {
    const Error error = std::move(planned).error();
    http::Response response = plan_failure(service, error);
    co_await exchange.respond(std::move(response));
    co_return;
  }
  OpenAiPlan& plan = *planned;
  const auto runs = std::make_shared<Runs>(exchange.request().gone);
  const Listen listen = plan.stream || plan.head.logprobs ? Listen::kToTokens : Listen::kToEnds;
  std::optional<Error> refused;
  for (GenerationRequest run : plan.runs) {
    run.client = exchange.request().client;
    auto started = runs->start(*service.generator, std::move(run), listen);
    if (started) continue;
    refused = std::move(started).error();
    break;
  }
  if (refused) {
    runs->abandon();
    http::Response response = run_failure(plan.head, *refused);
    co_await exchange.respond(std::move(response));
    co_return;
  }
  if (plan.stream)
    co_await answer_streamed(exchange, *runs, plan);
  else
    co_await answer_whole(exchange, *runs, plan);
}

}  // namespace

awaitable<void> answer_chat(Service& service, http::Exchange& exchange) {
  auto request = parse_chat_request(exchange.request().body);
  if (!request) {
    http::Response response = field_error_response(request.error());
    co_await exchange.respond(std::move(response));
    co_return;
  }
  const auto plan = [&service, &request] { return plan_chat(service, *request); };
  Result<OpenAiPlan> planned = co_await in_background(service, plan);
  co_await answer(service, exchange, std::move(planned));
}

awaitable<void> answer_completion(Service& service, http::Exchange& exchange) {
  auto request = parse_completion_request(exchange.request().body);
  if (!request) {
    http::Response response = field_error_response(request.error());
    co_await exchange.respond(std::move(response));
    co_return;
  }
  const auto plan = [&service, &request] { return plan_completion(service, *request); };
  Result<OpenAiPlan> planned = co_await in_background(service, plan);
  co_await answer(service, exchange, std::move(planned));
}

}  // namespace bobby::server
