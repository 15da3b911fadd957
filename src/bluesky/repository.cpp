#include "bluesky/repository.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "bluesky/json_answer.h"
#include "bluesky/labels.h"
#include "bluesky/record_formats.h"
#include "http/url.h"

namespace bobby::bluesky {
namespace {

using nlohmann::json;

WriteResult refused(Error error) {
  return {.verdict = {.outcome = Outcome::kRefused, .error = std::move(error)}};
}

// What is wrong with a write before it is sent.
Result<void> check_address(const std::string& collection, const std::string& key) {
  if (is_record_key(key) && is_record_key(collection)) return {};
  return fail({.code = ErrorCode::kUsage,
               .where = (collection + "/" + key).substr(0, 200),
               .problem = "is no record's address"});
}

Result<json> checked_record(const std::string& collection, const std::string& key,
                            const std::string& record) {
  BOBBY_CHECK(check_address(collection, key));
  json value = json::parse(record, nullptr, false);
  if (!value.is_object())
    return fail({.code = ErrorCode::kMalformed, .where = "record", .problem = "is no JSON object"});
  if (collection == kPostCollection) BOBBY_CHECK(check_post_record(record));
  return value;
}

void expect(json& input, const Expected& expected) {
  if (!expected.cid) return;
  if (expected.cid->empty())
    input["swapRecord"] = nullptr;
  else
    input["swapRecord"] = *expected.cid;
}

Spending spending_of(Write::Kind kind) {
  switch (kind) {
    case Write::Kind::kCreate: return Spending::kCreate;
    case Write::Kind::kUpdate: return Spending::kUpdate;
    case Write::Kind::kDelete: return Spending::kDelete;
  }
  return Spending::kCreate;
}

const char* type_of(Write::Kind kind) {
  switch (kind) {
    case Write::Kind::kCreate: return "com.atproto.repo.applyWrites#create";
    case Write::Kind::kUpdate: return "com.atproto.repo.applyWrites#update";
    case Write::Kind::kDelete: return "com.atproto.repo.applyWrites#delete";
  }
  return "";
}

Result<json> write_json(const Write& write) {
  json row = {
      {"$type", type_of(write.kind)}, {"collection", write.collection}, {"rkey", write.key}};
  if (write.kind == Write::Kind::kDelete) {
    BOBBY_CHECK(check_address(write.collection, write.key));
    return row;
  }
  BOBBY_TRY(row["value"], checked_record(write.collection, write.key, write.record));
  return row;
}

}  // namespace

WriteResult Repository::write(const std::string& method, json input, Spending what,
                              const std::string& uri) {
  input["repo"] = session_.account().did;
  XrpcReply reply =
      session_.call({.method = "com.atproto.repo." + method, .input = std::move(input)}, what);
  WriteResult result{.verdict = std::move(reply.verdict)};
  if (result.verdict.outcome != Outcome::kDone || uri.empty()) return result;
  const std::string* written = text_of(reply.output, "uri");
  const std::string* cid = text_of(reply.output, "cid");
  if (written == nullptr || *written != uri || cid == nullptr || !is_cid(*cid)) {
    result.verdict = {.outcome = Outcome::kUnknown,
                      .error = {.code = ErrorCode::kMalformed,
                                .where = session_.account().service,
                                .problem = "answers without the record's address",
                                .expected = uri}};
    return result;
  }
  result.record = {*written, *cid};
  return result;
}

WriteResult Repository::create(const std::string& collection, const std::string& key,
                               const std::string& record) {
  auto value = checked_record(collection, key, record);
  if (!value) return refused(std::move(value).error());
  return write(
      "createRecord", {{"collection", collection}, {"rkey", key}, {"record", *std::move(value)}},
      Spending::kCreate, fmt::format("at://{}/{}/{}", session_.account().did, collection, key));
}

WriteResult Repository::put(const std::string& collection, const std::string& key,
                            const std::string& record, const Expected& expected) {
  auto value = checked_record(collection, key, record);
  if (!value) return refused(std::move(value).error());
  json input = {{"collection", collection}, {"rkey", key}, {"record", *std::move(value)}};
  expect(input, expected);
  return write("putRecord", std::move(input), Spending::kUpdate,
               fmt::format("at://{}/{}/{}", session_.account().did, collection, key));
}

WriteResult Repository::remove(const std::string& collection, const std::string& key,
                               const Expected& expected) {
  if (auto checked = check_address(collection, key); !checked)
    return refused(std::move(checked).error());
  json input = {{"collection", collection}, {"rkey", key}};
  if (expected.cid && !expected.cid->empty()) expect(input, expected);
  return write("deleteRecord", std::move(input), Spending::kDelete, "");
}

WriteResult Repository::apply(std::span<const Write> writes) {
  constexpr std::size_t kMostWrites = 200;
  if (writes.empty() || writes.size() > kMostWrites)
    return refused({.code = ErrorCode::kLimit,
                    .where = "writes",
                    .problem = "are not sent together",
                    .expected = fmt::format("1 to {}", kMostWrites),
                    .found = fmt::format("{}", writes.size())});
  json rows = json::array();
  // The dearest of them for each: a bound that is simple to keep.
  Spending dearest = Spending::kDelete;
  for (const Write& write : writes) {
    auto row = write_json(write);
    if (!row) return refused(std::move(row).error());
    rows.push_back(*std::move(row));
    const Spending what = spending_of(write.kind);
    if (what == Spending::kCreate || dearest == Spending::kDelete) dearest = what;
  }
  XrpcReply reply =
      session_.call({.method = "com.atproto.repo.applyWrites",
                     .input = {{"repo", session_.account().did}, {"writes", std::move(rows)}}},
                    dearest, static_cast<std::int64_t>(writes.size()));
  return {.verdict = std::move(reply.verdict)};
}

Result<std::optional<StoredRecord>> Repository::get(const std::string& collection,
                                                    const std::string& key) {
  BOBBY_CHECK(check_address(collection, key));
  const std::string& did = session_.account().did;
  BOBBY_TRY(const http::Answer answer,
            session_.get("com.atproto.repo.getRecord",
                         fmt::format("repo={}&collection={}&rkey={}", http::escape_query(did),
                                     http::escape_query(collection), http::escape_query(key))));
  const std::string where = fmt::format("at://{}/{}/{}", did, collection, key);
  const json body = json::parse(answer.body, nullptr, false);
  if (answer.status != 200) {
    const std::string* name = text_of(body, "error");
    if (name != nullptr && *name == "RecordNotFound") return std::nullopt;
    const std::string said = told(body);
    return fail({.code = ErrorCode::kIo,
                 .where = where,
                 .problem = fmt::format("cannot be looked up: status {}{}{}", answer.status,
                                        said.empty() ? "" : ": ", said)});
  }
  const std::string* uri = text_of(body, "uri");
  const std::string* cid = text_of(body, "cid");
  const auto value = body.is_object() ? body.find("value") : body.end();
  if (uri == nullptr || *uri != where || cid == nullptr || !is_cid(*cid) || value == body.end() ||
      !value->is_object())
    return fail({.code = ErrorCode::kMalformed,
                 .where = where,
                 .problem = "is answered with something else"});
  return StoredRecord{{*uri, *cid}, value->dump(-1, ' ', false, json::error_handler_t::replace)};
}

Result<void> Repository::list(const std::string& collection, const RecordSink& sink,
                              const ProgressFn& progress) {
  return list_records(session_.transport().get, session_.account(), collection, sink, progress);
}

Result<bool> set_self_label(Repository& repository, std::string_view label, bool set) {
  constexpr int kMostTries = 3;  // as often as somebody else may have changed it meanwhile
  const std::string collection(kProfileCollection);
  const std::string key(kProfileKey);
  for (int number = 1;; ++number) {
    BOBBY_TRY(const auto profile, repository.get(collection, key));
    BOBBY_TRY(const auto changed, with_self_label(profile ? profile->value : "", label, set));
    if (!changed) return false;
    const WriteResult put =
        repository.put(collection, key, *changed, {.cid = profile ? profile->ref.cid : ""});
    if (put.verdict.outcome == Outcome::kDone) return true;
    const bool is_other =
        put.verdict.outcome == Outcome::kRefused && put.verdict.error.code == ErrorCode::kMismatch;
    if (!is_other || number == kMostTries) return fail(put.verdict.error);
  }
}

}  // namespace bobby::bluesky
