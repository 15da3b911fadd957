#include "server/api/run_requests.h"

#include <utility>

namespace bobby::server {

Result<void> Runs::start(Generator& generator, GenerationRequest request, Listen listen) {
  const std::size_t run = count_;
  request.cancel = gone_.get();
  // The engine drops the callbacks after on_done: until then they keep this alive.
  const std::shared_ptr<Runs> self = shared_from_this();
  const auto on_token = std::move(request.on_token);
  request.on_token = [self, run, listen, on_token](const TokenEvent& event) {
    if (listen == Listen::kToTokens)
      self->queue_.push(TokenPiece{.run = run,
                                   .row = event.row,
                                   .token = event.token,
                                   .logprob = event.logprob,
                                   .text = std::string(event.text),
                                   .top = {event.top.begin(), event.top.end()},
                                   .finished = event.finished});
    const RowAction action = on_token ? on_token(event) : RowAction::kContinue;
    return self->abandoned_ ? RowAction::kFinish : action;
  };
  if (listen == Listen::kToTokens)
    request.on_prefill = [self, run](const Progress& progress) {
      self->queue_.push(PrefillPiece{run, progress.done, progress.total});
    };
  BOBBY_CHECK(generator.submit(std::move(request),
                               [self, run](Result<std::vector<Completion>> completions) {
                                 self->queue_.push(RunEnd{run, std::move(completions)});
                               }));
  ++count_;
  return {};
}

}  // namespace bobby::server
