#pragma once

#include <chrono>
#include <curl/curl.h>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/curl_handles.h"

namespace bobby::net {

/// What every transfer of ours is: https, or plain http to this machine; no signals; no redirects
/// but those that the caller follows. `headers` ("Name: value") must outlive the transfer.
HeaderList prepare_transfer(CURL* handle, const std::string& url,
                            const std::vector<std::string>& headers);

/// kUsage for a URL that is neither https nor, where that is allowed, plain http to this machine.
Result<void> check_scheme(const std::string& url, bool plain_http_to_loopback);

/// Whether a status may be another one in a while: 408, 429, 5xx.
bool is_temporary(int status);

/// How long the answer that `handle` holds asks to be left alone: Retry-After, or with a 429 when
/// its limit ends (ratelimit-reset, or t= of RateLimit).
std::optional<std::chrono::seconds> asked_wait(CURL* handle, int status);

/// Why a transfer failed on the way, and whether that may pass.
struct TransferFailure {
  Error error;
  bool may_pass = false;
};
TransferFailure transfer_failure(CURLcode code, const std::string& url);

}  // namespace bobby::net
