#pragma once

// The endpoints on a model without weights, asked through an exchange without sockets.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/api/errors.h"
#include "server/api/routes.h"
#include "server/http/router.h"
#include "server/http/target.h"
#include "store/draft_store.h"
#include "unit/app/temporary_folder.h"
#include "unit/generation/fake_model.h"

namespace bobby::server {

/// Has no adapters; asks in ChatML, whose markers the fake tokenizer knows.
class NoAdapters : public AdapterDirectory {
 public:
  std::vector<AdapterEntry> list() const override { return entries; }
  Result<AdapterUse> find(const AdapterChoice& choice) override {
    asked.push_back(choice);
    return fail({.code = ErrorCode::kNotFound,
                 .where = "adapter '" + choice.name + "'",
                 .problem = "is not loaded here"});
  }
  Result<AdapterEntry> load(const std::string& path, const std::string& name) override {
    if (name == "taken")
      return fail({.code = ErrorCode::kMismatch, .where = "name", .problem = "is taken"});
    AdapterEntry entry;
    entry.name = name;
    entry.folder = path;
    entries.push_back(entry);
    return entry;
  }
  Result<void> unload(std::string_view name) override {
    if (std::erase_if(entries, [&](const AdapterEntry& each) { return each.name == name; }) > 0)
      return {};
    return fail({.code = ErrorCode::kNotFound, .where = std::string(name), .problem = "is none"});
  }
  Result<Voice> voice(std::span<const AdapterChoice>) override {
    return Voice{find_prompt_form("chatml").value(), PostRules{}};
  }

  std::vector<AdapterEntry> entries;
  std::vector<AdapterChoice> asked;
};

/// An answer as a client would have it.
struct Answer {
  http::Response response;
  bool streamed = false;
  std::vector<std::string> events;

  Json json() const { return Json::parse(response.body); }
};

class FakeExchange final : public http::Exchange, public http::Events {
 public:
  FakeExchange(http::Request request, Answer& answer)
      : request_(std::move(request)), answer_(answer) {}

  const http::Request& request() const override { return request_; }
  boost::asio::awaitable<void> respond(http::Response response) override {
    EXPECT_FALSE(answered_);
    answered_ = true;
    answer_.response = std::move(response);
    co_return;
  }
  boost::asio::awaitable<http::Events*> start_events() override {
    EXPECT_FALSE(answered_);
    answered_ = answer_.streamed = true;
    co_return this;
  }
  boost::asio::awaitable<bool> send(std::string text) override {
    answer_.events.push_back(std::move(text));
    const bool there = !leave_after || answer_.events.size() < *leave_after;
    co_return there;
  }

  std::optional<std::size_t> leave_after;  ///< the client goes once it has so many events

 private:
  http::Request request_;
  Answer& answer_;
  bool answered_ = false;
};

class ApiTest : public testing::Test {
 protected:
  explicit ApiTest(testing_support::FakeLogits logits = testing_support::babble,
                   GeneratorOptions options = {})
      : fake_(testing_support::make_fake(std::move(logits))),
        generator_(fake_.loader(), options),
        drafts_(store::DraftStore::open(folder_.path() / "drafts.db").value()) {
    service_.generator = &generator_;
    service_.adapters = &adapters_;
    service_.drafts = drafts_.get();
    service_.model = "fake";
    service_.fingerprint = "fp_1";
    service_.defaults.post.count = 3;
    service_.defaults.post.max_tokens = 40;
    service_.defaults.post.prompt = "write";
    service_.readiness.ready("fake");
  }

  /// What the route of `method` and `target` answers.
  Answer ask(const std::string& method, const std::string& target, const std::string& body = {},
             std::optional<std::size_t> leave_after = {}) {
    const http::Target parsed = http::parse_target(target).value();
    const http::Router router = http::Router::make(make_routes(service_, false)).value();
    const http::Match match = router.find(method, parsed.segments);
    Answer answer;
    EXPECT_NE(match.route, nullptr) << method << " " << target;
    if (match.route == nullptr) return answer;
    http::Request request;
    request.method = method;
    request.path = parsed.path;
    request.query = parsed.query;
    request.fields = fields_;
    request.parts = match.parts;
    request.body = body;
    request.client = "test";
    request.gone = gone_;
    FakeExchange exchange(std::move(request), answer);
    exchange.leave_after = leave_after;
    boost::asio::io_context context;
    std::exception_ptr thrown;
    boost::asio::co_spawn(context, match.route->handler(exchange),
                          [&thrown](std::exception_ptr error) { thrown = error; });
    context.run();
    if (thrown) std::rethrow_exception(thrown);
    return answer;
  }

  TemporaryFolder folder_;
  testing_support::FakeLoaded fake_;
  Generator generator_;
  std::unique_ptr<store::DraftStore> drafts_;
  NoAdapters adapters_;
  Service service_;
  std::map<std::string, std::string, std::less<>> fields_;
  std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace bobby::server
