#include "bluesky/records.h"

#include <cstdint>
#include <fmt/format.h>

#include "bluesky/json_answer.h"
#include "http/url.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

tl::unexpected<Error> malformed(const std::string& url, std::string_view what) {
  return fail(
      {.code = ErrorCode::kMalformed, .where = net::shown_url(url), .problem = std::string(what)});
}

Result<void> hand_on(const json& record, const std::string& url, const RecordSink& sink) {
  const std::string* uri = text_of(record, "uri");
  const auto value = uri == nullptr ? record.end() : record.find("value");
  if (uri == nullptr || value == record.end() || !value->is_object())
    return malformed(url, "lists a record without 'uri' and 'value'");
  return sink(*uri, value->dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace

Result<void> list_records(const net::Get& get, const Account& account,
                          const std::string& collection, const RecordSink& sink,
                          const ProgressFn& progress) {
  constexpr int kPage = 100;  // as many as a server may be asked for
  const std::string first = fmt::format(
      "{}/xrpc/com.atproto.repo.listRecords?repo={}&collection={}&limit={}&reverse=true",
      account.service, net::escape_query(account.did), net::escape_query(collection), kPage);
  std::string cursor;
  std::uint64_t listed = 0;
  for (;;) {
    const std::string url = cursor.empty() ? first : first + "&cursor=" + net::escape_query(cursor);
    BOBBY_TRY(const json page, get_json(get, url));
    const auto records = page.find("records");
    if (records == page.end() || !records->is_array())
      return malformed(url, "answers without a list of records");
    for (const json& record : *records) BOBBY_CHECK(hand_on(record, url, sink));
    listed += records->size();
    if (progress) progress({.phase = "list", .done = listed, .total = 0});
    const std::string* next = text_of(page, "cursor");
    // A last page may carry a cursor; the one after it is empty then.
    if (next == nullptr || next->empty() || records->empty()) return {};
    if (*next == cursor) return malformed(url, "answers with the same cursor again");
    cursor = *next;
  }
}

}  // namespace bobby::bluesky
