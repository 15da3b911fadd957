#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/backoff.h"

namespace bobby::net {

struct FetchSettings {
  int connections = 8;                                ///< at most, of one file
  std::uint64_t part_bytes = std::uint64_t{8} << 20;  ///< of one question
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds stall_timeout{10'000};  ///< without a byte, a connection is given up
  Patience patience = {};
  bool plain_http_to_loopback = false;
};

/// A file, or what is missing of it.
struct FetchRequest {
  std::string url;
  std::vector<std::string> headers = {};          ///< "Name: value", sent along wherever it leads
  std::vector<std::string> private_headers = {};  ///< sent to the origin of `url` alone
  std::uint64_t from = 0;                         ///< the first byte that is wanted
  std::optional<std::uint64_t> size = {};         ///< of the whole file, where it is known
  std::string if_range = {};  ///< the ETag that the bytes before `from` had; empty: not known
};

/// How a fetch ended that did not fail.
enum class FetchEnd : std::uint8_t {
  kDone,       ///< every byte came
  kStartOver,  ///< the server gives no parts of the file: ask for all of it
  kChanged,    ///< what is there is of another length or ETag than was asked for
  kExpired,    ///< 401, 403, 404 or 410 after a redirect, or of a URL that is another's
};

/// Takes the next bytes of the file, in order.
using ByteSink = std::function<Result<void>(std::span<const std::byte> bytes)>;
/// Told, ten times a second at least, how many bytes came so far; may throw, which ends the fetch
/// and passes through.
using FetchWatch = std::function<void(std::uint64_t bytes)>;

/// Gets the bytes of a file from `from` to its end: in parts over several connections where the
/// server gives parts, and hands them on in order. What is cut short, stalls or fails in a way that
/// may pass is asked for again, from where it stopped. Errors: those of Client::send; kNotFound,
/// kIo for other statuses; kMalformed for an answer that is not of this file; the sink's.
Result<FetchEnd> fetch_ranged(const FetchRequest& request, const FetchSettings& settings,
                              const ByteSink& sink, const FetchWatch& watch);

}  // namespace bobby::net
