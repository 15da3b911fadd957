#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "generation/generator.h"
#include "posts/post_request.h"
#include "server/api/adapter_directory.h"
#include "server/api/metrics.h"
#include "server/api/readiness.h"
#include "server/http/exchange.h"

namespace bobby::store {
class DraftStore;
}

namespace bobby::server {

/// What a request that says nothing gets: the server's own settings.
struct Defaults {
  PostRequest post;                     ///< all but prompt form and rules, which are the voice's
  std::vector<AdapterChoice> adapters;  ///< --adapter
  std::vector<std::string> suggestions = {"write about coffee", "write about debugging",
                                          "write about the weather", "write about learning"};
};

// In this room's coroutines what is passed to a co_awaited call has a name first: g++ 12 destroys
// some such temporaries twice.

/// What the endpoints stand on. Generator, adapters and drafts outlive it.
struct Service {
  Generator* generator = nullptr;
  AdapterDirectory* adapters = nullptr;
  store::DraftStore* drafts = nullptr;
  Readiness readiness;
  AdapterCounts adapter_counts;
  std::function<http::TransportCounts()> transport;  ///< empty: no one counts
  std::string model;                                 ///< its name: "demo"
  std::string fingerprint;                           ///< of what answers depend on
  std::int64_t started = 0;                          ///< seconds since 1970
  Defaults defaults;
  /// Why a text may not be approved as a post; empty: nobody looks.
  std::function<Result<void>(const std::string& text)> check_post;
  std::chrono::seconds request_timeout{0};  ///< 0: none
  /// For what reads files or uploads weights: the server's threads must not wait.
  boost::asio::thread_pool background{2};

  /// The model, or why it cannot answer yet. Does not wait.
  Result<std::shared_ptr<LoadedModel>> loaded() const;
  /// When a request that begins now must be done.
  std::optional<std::chrono::steady_clock::time_point> deadline() const;
};

/// Runs `work` on the background threads and returns what it returns.
template <typename Work>
auto in_background(Service& service, Work work)
    -> boost::asio::awaitable<std::invoke_result_t<Work&>> {
  using Value = std::invoke_result_t<Work&>;
  // Not a lambda: its captures would end before the coroutine does.
  struct Runner {
    static boost::asio::awaitable<Value> run(std::shared_ptr<Work> job) { co_return (*job)(); }
  };
  auto job = std::make_shared<Work>(std::move(work));
  co_return co_await boost::asio::co_spawn(service.background, Runner::run(std::move(job)),
                                           boost::asio::use_awaitable);
}

/// The answer while a model is not there: 503, and when to ask again.
http::Response unready_response(const Error& error);

/// Adapters as rows use them.
Result<std::vector<AdapterUse>> find_adapters(AdapterDirectory& adapters,
                                              const std::vector<AdapterChoice>& choices);

}  // namespace bobby::server
