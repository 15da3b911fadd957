#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "generation/generator.h"
#include "server/api/event_queue.h"

namespace bobby::server {

/// A token of a run's row.
struct TokenPiece {
  std::size_t run = 0;
  std::size_t row = 0;
  std::int32_t token = 0;
  float logprob = 0.0f;
  std::string text;  ///< whole code points; may be empty
  std::vector<SampledToken> top;
  std::optional<FinishReason> finished;  ///< when it is the row's last
};

struct PrefillPiece {
  std::size_t run = 0;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

struct RunEnd {
  std::size_t run = 0;
  Result<std::vector<Completion>> completions;
};

using RunEvent = std::variant<TokenPiece, PrefillPiece, RunEnd>;

enum class Listen : std::uint8_t { kToEnds, kToTokens };

/// Requests of one client, running together on a Generator, as events for its coroutine. Made by
/// make_shared: the engine keeps it until the last of its requests is done.
class Runs : public std::enable_shared_from_this<Runs> {
 public:
  /// `gone` ends every run when it becomes true.
  explicit Runs(std::shared_ptr<const std::atomic<bool>> gone) : gone_(std::move(gone)) {}

  /// Hands the request to the generator as the next run; its callbacks are set here, over those it
  /// has. What submit() refuses is returned; everything later is an event.
  Result<void> start(Generator& generator, GenerationRequest request, Listen listen);

  /// What happened since the last call; waits until something did.
  boost::asio::awaitable<std::vector<RunEvent>> events() { return queue_.take(); }

  /// No one waits any longer: rows end at their next token.
  void abandon() { abandoned_ = true; }

  /// How many were started.
  std::size_t count() const { return count_; }

 private:
  std::shared_ptr<const std::atomic<bool>> gone_;
  std::atomic<bool> abandoned_{false};
  std::size_t count_ = 0;
  EventQueue<RunEvent> queue_;
};

}  // namespace bobby::server
