#include "server/api/drafts_endpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "server/api/draft_json.h"
#include "server/api/errors.h"
#include "server/api/json_fields.h"
#include "store/draft_store.h"
#include "voice/graphemes.h"

namespace bobby::server {
namespace {

using boost::asio::awaitable;
using store::Draft;

constexpr std::array<std::string_view, 4> kNewFields = {"text", "prompt", "adapter", "seed"};
constexpr std::array<std::string_view, 4> kChangeFields = {"text", "status", "reason", "seen_text"};
constexpr std::array<std::string_view, 6> kQueryFields = {"query", "status", "post",
                                                          "ids",   "limit",  "before"};
constexpr std::int64_t kMostGraphemes = 10000;
constexpr std::size_t kMostBytes = 1000000;  // a grapheme may have any number of code points
constexpr std::int64_t kMostReason = 1000;   // graphemes, too
constexpr std::int64_t kMostOnPage = 200;

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

Error no_such_draft(std::string_view id) {
  return {.code = ErrorCode::kNotFound,
          .problem = fmt::format("there is no draft '{}'", id),
          .hint = "GET /v1/drafts lists them"};
}

/// The draft that the path names. Ids are whole numbers: nothing else is one.
Result<std::int64_t> id_of(const http::Request& request) {
  const std::string& text = request.parts.at("id");
  if (const auto id = parse_number(text)) return *id;
  return fail(no_such_draft(text));
}

/// The graphemes of a text that may be kept.
std::int64_t check_text(Fields& fields, const std::string& text) {
  const std::int64_t graphemes =
      text.size() > kMostBytes ? kMostGraphemes + 1 : count_graphemes(text);
  if (graphemes < 1 || graphemes > kMostGraphemes)
    fields.report("text", "has the wrong length", fmt::format("1 to {} characters", kMostGraphemes),
                  text.size() > kMostBytes ? fmt::format("{} bytes", text.size())
                                           : std::to_string(graphemes));
  return graphemes;
}

Result<store::NewDraft> parse_new(std::string_view body) {
  BOBBY_TRY(const nlohmann::json object, parse_body(body));
  Fields fields(object, kNewFields);
  fields.require("text");
  store::NewDraft draft;
  draft.text = fields.text("text").value_or("");
  draft.prompt = fields.text("prompt").value_or("");
  draft.adapter = fields.text("adapter").value_or("");
  draft.seed = fields.integer("seed", 0, kMostExact);
  draft.graphemes = check_text(fields, draft.text);
  BOBBY_CHECK(fields.check());
  return draft;
}

void check_reason(Fields& fields, const store::DraftChange& change) {
  if (change.status != "rejected")
    fields.report("reason", "is kept with a rejection only", "status rejected",
                  change.status.value_or("none"));
  else if (change.reason->size() > kMostBytes || count_graphemes(*change.reason) > kMostReason)
    fields.report("reason", "is too long", fmt::format("at most {} characters", kMostReason));
}

Result<store::DraftChange> parse_change(std::string_view body) {
  BOBBY_TRY(const nlohmann::json object, parse_body(body));
  Fields fields(object, kChangeFields);
  store::DraftChange change;
  change.text = fields.text("text");
  change.status = fields.choice("status", store::kDraftStatuses);
  if (change.text) change.graphemes = check_text(fields, *change.text);
  change.reason = fields.text("reason");
  change.seen_text = fields.text("seen_text");
  if (change.reason) check_reason(fields, change);
  if (!change.text && !change.status) fields.report("text", "is missing, and so is status");
  BOBBY_CHECK(fields.check());
  return change;
}

/// "3,5,8": drafts by their ids.
std::vector<std::int64_t> parse_ids(Fields& fields, std::string_view text) {
  std::vector<std::int64_t> ids;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const auto id = parse_number(text.substr(begin, end - begin));
    if (!id || ids.size() == kMostOnPage) {
      fields.report("ids", "is no list of ids",
                    fmt::format("1 to {} whole numbers, parted by commas", kMostOnPage),
                    fmt::format("'{}'", text.substr(0, 40)));
      return {};
    }
    ids.push_back(*id);
    begin = end + 1;
  }
  return ids;
}

/// The query of the list, read as strictly as a body.
Result<store::DraftQuery> parse_query(const http::Request& request) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, value] : request.query) {
    const bool number = name == "limit" || name == "before";
    const auto parsed = number ? parse_number(value) : std::nullopt;
    object[name] = parsed ? nlohmann::json(*parsed) : nlohmann::json(value);
  }
  Fields fields(object, kQueryFields);
  store::DraftQuery query;
  query.query = fields.text("query").value_or("");
  if (fields.text("status").value_or("") != "")
    query.status = fields.choice("status", store::kDraftStatuses).value_or("");
  if (const auto state = fields.choice("post", store::kOutboxStates))
    query.post = static_cast<store::OutboxState>(std::ranges::find(store::kOutboxStates, *state) -
                                                 store::kOutboxStates.begin());
  if (const auto ids = fields.text("ids")) query.ids = parse_ids(fields, *ids);
  query.limit = fields.integer("limit", 1, kMostOnPage).value_or(query.limit);
  query.before = fields.integer("before", 0, kMostExact);
  BOBBY_CHECK(fields.check());
  return query;
}

http::Response draft_response(const Result<Draft>& draft, int status) {
  return draft ? json_response(draft_json(*draft), status) : error_response(draft.error());
}

/// What the store says to a request that was found right: 409 where it is about what the draft
/// became, so that whoever asks looks at it again.
http::Response store_error_response(const Error& error) {
  const bool is_conflict = error.code == ErrorCode::kBusy || error.code == ErrorCode::kUsage ||
                           error.code == ErrorCode::kMismatch;
  return is_conflict ? error_response(409, error) : error_response(error);
}

http::Response found_response(const Result<std::optional<Draft>>& draft, std::int64_t id) {
  if (!draft) return store_error_response(draft.error());
  if (!*draft) return error_response(no_such_draft(std::to_string(id)));
  return json_response(draft_json(**draft));
}

http::Response list_response(Service& service, const http::Request& request) {
  const auto query = parse_query(request);
  if (!query) return field_error_response(query.error());
  const auto page = service.drafts->list(*query);
  if (!page) return error_response(page.error());
  Json data = Json::array();
  for (const Draft& draft : page->drafts) data.push_back(draft_json(draft));
  return json_response({{"object", "list"},
                        {"data", std::move(data)},
                        {"has_more", page->has_more},
                        {"total", page->total}});
}

http::Response create_response(Service& service, const http::Request& request) {
  const auto draft = parse_new(request.body);
  if (!draft) return field_error_response(draft.error());
  return draft_response(service.drafts->create(*draft), 201);
}

http::Response get_response(Service& service, const http::Request& request) {
  const auto id = id_of(request);
  if (!id) return error_response(id.error());
  return found_response(service.drafts->get(*id), *id);
}

/// Whoever approves hears now what would be said when the post is due; it is looked at then as
/// well.
Result<void> check_approval(const Service& service, std::int64_t id,
                            const store::DraftChange& change) {
  if (change.status != "approved" || !service.check_post) return {};
  if (change.text) return service.check_post(*change.text);
  BOBBY_TRY(const auto draft, service.drafts->get(id));
  return draft ? service.check_post(draft->text) : Result<void>();
}

http::Response change_response(Service& service, const http::Request& request) {
  const auto id = id_of(request);
  if (!id) return error_response(id.error());
  const auto change = parse_change(request.body);
  if (!change) return field_error_response(change.error());
  if (const auto allowed = check_approval(service, *id, *change); !allowed)
    return error_response(422, allowed.error());
  return found_response(service.drafts->update(*id, *change), *id);
}

http::Response delete_response(Service& service, const http::Request& request) {
  const auto id = id_of(request);
  if (!id) return error_response(id.error());
  const auto removed = service.drafts->remove(*id);
  if (!removed) return store_error_response(removed.error());
  if (!*removed) return error_response(no_such_draft(std::to_string(*id)));
  return json_response({{"deleted", true}, {"id", *id}});
}

using Answer = http::Response (*)(Service&, const http::Request&);

/// A write waits for the disk, so none of them runs on the server's own threads.
awaitable<void> respond(Service& service, http::Exchange& exchange, Answer answer) {
  const auto work = [&service, &exchange, answer] { return answer(service, exchange.request()); };
  http::Response response = co_await in_background(service, work);
  co_await exchange.respond(std::move(response));
}

}  // namespace

awaitable<void> list_drafts(Service& service, http::Exchange& exchange) {
  return respond(service, exchange, list_response);
}
awaitable<void> create_draft(Service& service, http::Exchange& exchange) {
  return respond(service, exchange, create_response);
}
awaitable<void> get_draft(Service& service, http::Exchange& exchange) {
  return respond(service, exchange, get_response);
}
awaitable<void> change_draft(Service& service, http::Exchange& exchange) {
  return respond(service, exchange, change_response);
}
awaitable<void> delete_draft(Service& service, http::Exchange& exchange) {
  return respond(service, exchange, delete_response);
}

std::span<const std::string_view> new_draft_fields() {
  return kNewFields;
}
std::span<const std::string_view> draft_change_fields() {
  return kChangeFields;
}
std::span<const std::string_view> draft_query_fields() {
  return kQueryFields;
}

}  // namespace bobby::server
