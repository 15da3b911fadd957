#include "server/api/adapters_endpoint.h"

#include <algorithm>
#include <array>

#include "server/api/errors.h"
#include "server/api/json_fields.h"

namespace bobby::server {
namespace {

using boost::asio::awaitable;

constexpr std::array<std::string_view, 2> kLoadFields = {"path", "name"};

Json adapter_json(const AdapterEntry& entry) {
  Json json = {{"name", entry.name},
               {"folder", entry.folder},
               {"format", entry.format},
               {"rank", entry.rank},
               {"scale", entry.scale},
               {"modules", entry.modules},
               {"parameters", entry.parameters},
               {"sha256", entry.sha256},
               {"default", entry.is_default},
               {"loaded_at", nullptr}};
  if (!entry.loaded_at.empty()) json["loaded_at"] = entry.loaded_at;
  return json;
}

Json model_json(const Service& service, const AdapterEntry* adapter) {
  const std::string id = adapter ? service.model + ":" + adapter->name : service.model;
  Json json = {{"id", id},
               {"object", "model"},
               {"created", service.started},
               {"owned_by", "bobby"},
               {"root", service.model},
               {"parent", nullptr},
               {"adapter", nullptr}};
  if (adapter == nullptr) return json;
  json["parent"] = service.model;
  json["adapter"] = {{"rank", adapter->rank},
                     {"scale", adapter->scale},
                     {"sha256", adapter->sha256},
                     {"base", service.model}};
  return json;
}

struct LoadBody {
  std::string path;
  std::string name;
};

Result<LoadBody> parse_load(std::string_view body) {
  BOBBY_TRY(const nlohmann::json object, parse_body(body));
  Fields fields(object, kLoadFields);
  fields.require("path");
  LoadBody load{fields.text("path").value_or(""), fields.text("name").value_or("")};
  if (fields.find("name") != nullptr && load.name.empty())
    fields.report("name", "is empty", "a name, or none for the folder's");
  if (load.path.empty()) fields.report("path", "is empty", "a folder, or an adapter's name");
  BOBBY_CHECK(fields.check());
  return load;
}

http::Response load_response(Service& service, const http::Request& request) {
  const auto body = parse_load(request.body);
  if (!body) return field_error_response(body.error());
  if (auto loaded = service.loaded(); !loaded) return unready_response(loaded.error());
  const auto entry = service.adapters->load(body->path, body->name);
  ++(entry ? service.adapter_counts.loaded : service.adapter_counts.failed);
  if (entry) return json_response(adapter_json(*entry), 201);
  const Error& error = entry.error();
  if (error.where == "name")  // a bad name, or one that another folder has
    return error.code == ErrorCode::kMismatch ? error_response(409, error, "name")
                                              : error_response(error, "name");
  return error_response(error, "path");
}

}  // namespace

awaitable<void> list_adapters(Service& service, http::Exchange& exchange) {
  Json data = Json::array();
  for (const AdapterEntry& entry : service.adapters->list()) data.push_back(adapter_json(entry));
  const Json answer = {{"object", "list"}, {"data", std::move(data)}};
  http::Response response = json_response(answer);
  co_await exchange.respond(std::move(response));
}

awaitable<void> load_adapter(Service& service, http::Exchange& exchange) {
  const auto work = [&service, &exchange] { return load_response(service, exchange.request()); };
  http::Response response = co_await in_background(service, work);
  co_await exchange.respond(std::move(response));
}

awaitable<void> unload_adapter(Service& service, http::Exchange& exchange) {
  const std::string& name = exchange.request().parts.at("name");
  const auto& defaults = service.defaults.adapters;
  if (std::ranges::find(defaults, name, &AdapterChoice::name) != defaults.end()) {
    const Error error = {.code = ErrorCode::kMismatch,
                         .where = name,
                         .problem = "is what requests get that name no adapter",
                         .hint = "start the server without it to let go of it"};
    http::Response response = error_response(409, error, "name");
    co_await exchange.respond(std::move(response));
    co_return;
  }
  const Result<void> unloaded = service.adapters->unload(name);
  if (!unloaded) {
    http::Response response = error_response(unloaded.error());
    co_await exchange.respond(std::move(response));
    co_return;
  }
  const Json answer = {{"deleted", true}, {"name", name}};
  http::Response response = json_response(answer);
  co_await exchange.respond(std::move(response));
}

awaitable<void> list_models(Service& service, http::Exchange& exchange) {
  Json data = Json::array();
  data.push_back(model_json(service, nullptr));
  for (const AdapterEntry& entry : service.adapters->list())
    data.push_back(model_json(service, &entry));
  const Json answer = {{"object", "list"}, {"data", std::move(data)}};
  http::Response response = json_response(answer);
  co_await exchange.respond(std::move(response));
}

std::span<const std::string_view> load_adapter_fields() {
  return kLoadFields;
}

}  // namespace bobby::server
