// TXT records by the machine's own resolver, which knows its name servers, search no further.

#include <algorithm>
#include <arpa/nameser.h>
#include <array>
#include <netinet/in.h>
#include <resolv.h>

#include "bluesky/identity.h"

namespace bobby::bluesky {
namespace {

constexpr std::size_t kMostRecords = 64;
constexpr std::size_t kLongestAnswer = 65'535;

// A record's data: texts of up to 255 bytes, each after its length, which are one text together.
std::string joined(const unsigned char* data, std::size_t length) {
  std::string text;
  for (std::size_t at = 0; at < length;) {
    const std::size_t part = std::min<std::size_t>(data[at], length - at - 1);
    text.append(reinterpret_cast<const char*>(data + at + 1), part);
    at += part + 1;
  }
  return text;
}

}  // namespace

std::vector<std::string> look_up_txt(const std::string& name) {
  struct Resolver {
    struct __res_state state {};
    bool ready = res_ninit(&state) == 0;
    ~Resolver() {
      if (ready) res_nclose(&state);
    }
  } resolver;
  if (!resolver.ready) return {};
  std::vector<unsigned char> answer(kLongestAnswer);
  const int length = res_nquery(&resolver.state, name.c_str(), ns_c_in, ns_t_txt, answer.data(),
                                static_cast<int>(answer.size()));
  ns_msg message{};
  if (length <= 0 || static_cast<std::size_t>(length) > answer.size() ||
      ns_initparse(answer.data(), length, &message) != 0)
    return {};
  std::vector<std::string> texts;
  const std::size_t count = std::min<std::size_t>(ns_msg_count(message, ns_s_an), kMostRecords);
  for (std::size_t i = 0; i < count; ++i) {
    ns_rr record{};
    if (ns_parserr(&message, ns_s_an, static_cast<int>(i), &record) != 0) break;
    if (ns_rr_type(record) == ns_t_txt)
      texts.push_back(joined(ns_rr_rdata(record), ns_rr_rdlen(record)));
  }
  return texts;
}

}  // namespace bobby::bluesky
