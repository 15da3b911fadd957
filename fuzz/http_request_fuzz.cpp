// Bytes of a client: whatever they are and however they are cut, the parser ends, and what it read
// leads to an answer or to a route. The first byte says where the input is cut.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/admission.h"
#include "server/http/request_parser.h"

namespace {

using namespace bobby::http;

const Core& core() {
  static const Core made = [] {
    const Handler nothing = [](Exchange&) { return boost::asio::awaitable<void>(); };
    std::vector<Route> routes = {{.method = "GET", .path = "/v1/drafts/{id}", .handler = nothing},
                                 {.method = "POST", .path = "/v1/posts", .handler = nothing}};
    const std::vector<std::string> keys = {"key"};
    const std::vector<std::string> origins = {"https://posts.example"};
    return Core{.options = {},
                .router = *Router::make(std::move(routes)),
                .keys = ApiKeys(keys),
                .origins = *Origins::make(origins),
                .log = nullptr};
  }();
  return made;
}

// Gives the bytes in two parts; false: the parser wants no more of them.
template <typename Read>
bool read(const Read& step_of, std::string& inbox, std::string& later) {
  for (;;) {
    const RequestParser::Step step = step_of(inbox);
    if (step.consumed > inbox.size()) std::abort();
    inbox.erase(0, step.consumed);
    if (step.state == RequestParser::State::kReady) return true;
    if (step.state == RequestParser::State::kFailed) return false;
    if (later.empty()) return false;
    inbox += std::exchange(later, {});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = bytes.empty() ? 0 : data[0] % bytes.size();
  std::string inbox(bytes.substr(0, cut));
  std::string later(bytes.substr(cut));
  RequestParser parser(512);
  if (!read([&](std::string_view text) { return parser.read_head(text); }, inbox, later)) return 0;
  const RequestHead head = parser.head();
  const Admission admission = admit(core(), head, "peer");
  if (!admission.answer && admission.match.route == nullptr) std::abort();
  parser.limit_body(64);
  if (!read([&](std::string_view text) { return parser.read_body(text); }, inbox, later)) return 0;
  if (!head.has_body) return 0;
  const std::size_t length = parser.take_body().size();
  if (head.content_length ? length != *head.content_length : length > 64) std::abort();
  return 0;
}
