#include "server/api/service.h"

#include "server/api/errors.h"

namespace bobby::server {

Result<std::shared_ptr<LoadedModel>> Service::loaded() const {
  const Readiness::Snapshot now = readiness.now();
  switch (now.state) {
    case Readiness::State::kReady: return generator->prewarm();
    case Readiness::State::kLoading:
      return fail({.code = ErrorCode::kBusy,
                   .problem = "the model is still being loaded",
                   .hint = "GET /ready says how far it is"});
    case Readiness::State::kFailed:
      return fail({.code = ErrorCode::kInternal,
                   .problem = "the model could not be loaded",
                   .found = now.error});
    case Readiness::State::kDraining:
      return fail({.code = ErrorCode::kCancelled, .problem = "the server is shutting down"});
  }
  return fail({.code = ErrorCode::kInternal, .problem = "the server is in no known state"});
}

std::optional<std::chrono::steady_clock::time_point> Service::deadline() const {
  if (request_timeout.count() == 0) return std::nullopt;
  return std::chrono::steady_clock::now() + request_timeout;
}

http::Response unready_response(const Error& error) {
  return error_response(503, error);
}

Result<std::vector<AdapterUse>> find_adapters(AdapterDirectory& adapters,
                                              const std::vector<AdapterChoice>& choices) {
  std::vector<AdapterUse> uses;
  for (const AdapterChoice& choice : choices) {
    BOBBY_TRY(AdapterUse use, adapters.find(choice));
    uses.push_back(std::move(use));
  }
  return uses;
}

}  // namespace bobby::server
