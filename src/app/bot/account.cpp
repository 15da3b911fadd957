#include "app/bot/account.h"

#include <chrono>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "bluesky/card.h"
#include "bluesky/identity.h"
#include "bluesky/json_answer.h"
#include "http/url.h"

namespace bobby {
namespace {

constexpr const char* kLogIn = "`bobby bot login HANDLE` logs in";

Result<void> check_online(const Settings& settings) {
  if (!settings.flag(Opt::kOffline)) return {};
  return fail({.code = ErrorCode::kUsage,
               .where = "--offline",
               .problem = "forbids asking the network, which this does"});
}

std::shared_ptr<net::Client> make_client(bool to_this_machine, const net::Watch& watch) {
  net::ClientSettings client;
  // Who has an account on a server of this machine is testing; no other may lead here.
  client.plain_http_to_loopback = to_this_machine;
  client.watch = watch;
  return std::make_shared<net::Client>(client);
}

bluesky::Transport transport_over(const std::shared_ptr<net::Client>& client) {
  return {.get = [client](const std::string& url) { return client->get(url); },
          .ask = [client](const net::Request& request) { return client->ask_once(request); }};
}

bluesky::SessionSettings session_settings(const Settings& settings, const std::string& did,
                                          const std::shared_ptr<net::Client>& client,
                                          const net::Watch& watch) {
  return {.transport = transport_over(client),
          .folder = bluesky::account_folder(accounts_folder(settings), did),
          .watch = watch};
}

Result<bluesky::SessionData> session_of(const std::filesystem::path& accounts,
                                        const std::string& did) {
  BOBBY_TRY(auto session, bluesky::AccountFiles(bluesky::account_folder(accounts, did)).session());
  if (session) return *std::move(session);
  return fail(
      {.code = ErrorCode::kNotFound, .where = did, .problem = "is not logged in", .hint = kLogIn});
}

std::string without_at(const std::string& handle) {
  return handle.starts_with('@') ? handle.substr(1) : handle;
}

}  // namespace

std::filesystem::path store_file(const Settings& settings) {
  return settings.given(Opt::kDrafts) ? std::filesystem::path(settings.text(Opt::kDrafts))
                                      : settings.environment().state_folder() / "bobby.sqlite";
}

std::filesystem::path accounts_folder(const Settings& settings) {
  return store_file(settings).parent_path() / "accounts";
}

Result<bluesky::SessionData> chosen_session(const Settings& settings) {
  const std::filesystem::path accounts = accounts_folder(settings);
  const std::string wanted =
      settings.given(Opt::kBotAccount) ? without_at(settings.text(Opt::kBotAccount)) : "";
  // One that is named by its DID is looked at alone: what is wrong with its file is said.
  if (bluesky::is_did(wanted)) return session_of(accounts, wanted);
  const std::vector<std::string> dids = bluesky::logged_in_accounts(accounts);
  std::string names;
  for (const std::string& did : dids) {
    BOBBY_TRY(bluesky::SessionData session, session_of(accounts, did));
    if (session.account.handle == wanted || (wanted.empty() && dids.size() == 1)) return session;
    names += fmt::format("{}{}", names.empty() ? "" : ", ",
                         session.account.handle.empty() ? did : session.account.handle);
  }
  if (dids.empty())
    return fail({.code = ErrorCode::kNotFound,
                 .where = accounts.string(),
                 .problem = "holds no session: nobody is logged in",
                 .hint = kLogIn});
  return fail(
      {.code = ErrorCode::kUsage,
       .where = "--account",
       .problem = wanted.empty() ? "is needed, since several are logged in" : "is not logged in",
       .expected = names,
       .found = wanted});
}

bot::CardOfPage card_fetcher(const bluesky::Account& account, const net::Watch& watch,
                             std::function<void(const std::string&)> note) {
  using std::chrono::seconds;
  net::ClientSettings client;
  client.connect_timeout = client.timeout = seconds(10);
  client.most_bytes = std::size_t{2} << 20;
  client.patience.tries = 1;
  client.plain_http_to_loopback = net::leads_to_this_machine(account.service);
  client.public_addresses_only = !client.plain_http_to_loopback;
  client.watch = watch;
  return [client = std::make_shared<net::Client>(client),
          note = std::move(note)](const std::string& url) -> std::optional<bluesky::Card> {
    auto card =
        bluesky::fetch_card([&](const std::string& page) { return client->get(page); }, url);
    if (card) return *std::move(card);
    if (note) note(fmt::format("the post goes without a card: {}", card.error().to_string()));
    return std::nullopt;
  };
}

Result<LoggedOut> log_out(const Settings& settings, const net::Watch& watch) {
  auto data = chosen_session(settings);
  if (!data) {
    const bool names_one = settings.given(Opt::kBotAccount);
    const std::string& did = names_one ? settings.text(Opt::kBotAccount) : std::string();
    // A file that is there and is none: nothing can be asked with it.
    if (!bluesky::is_did(did) || data.error().code == ErrorCode::kNotFound ||
        data.error().code == ErrorCode::kIo)
      return fail(std::move(data).error());
    const bluesky::AccountFiles files(bluesky::account_folder(accounts_folder(settings), did));
    BOBBY_CHECK(files.forget_session());
    return LoggedOut{.account = {.did = did, .handle = {}, .service = {}},
                     .not_told = std::move(data).error()};
  }
  LoggedOut result{.account = data->account};
  if (auto online = check_online(settings); !online) {
    const auto folder = bluesky::account_folder(accounts_folder(settings), data->account.did);
    BOBBY_CHECK(bluesky::AccountFiles(folder).forget_session());
    result.not_told = std::move(online).error();
    return result;
  }
  auto client = make_client(net::leads_to_this_machine(data->account.service), watch);
  BOBBY_TRY(auto session,
            bluesky::Session::open(session_settings(settings, data->account.did, client, watch)));
  BOBBY_TRY(bluesky::Verdict verdict, session.log_out());
  // Where the account or its session stands in the way, there is nothing left to be ended.
  if (verdict.outcome != bluesky::Outcome::kDone && !verdict.needs_person)
    result.not_told = std::move(verdict.error);
  return result;
}

Result<std::unique_ptr<BotAccount>> BotAccount::open(const Settings& settings,
                                                     const net::Watch& watch) {
  BOBBY_CHECK(check_online(settings));
  BOBBY_TRY(const bluesky::SessionData data, chosen_session(settings));
  auto client = make_client(net::leads_to_this_machine(data.account.service), watch);
  BOBBY_TRY(auto session,
            bluesky::Session::open(session_settings(settings, data.account.did, client, watch)));
  return std::unique_ptr<BotAccount>(new BotAccount(std::move(client), std::move(session)));
}

Result<std::unique_ptr<BotAccount>> BotAccount::log_in(const Settings& settings,
                                                       const std::string& who,
                                                       const std::string& password,
                                                       const net::Watch& watch) {
  BOBBY_CHECK(check_online(settings));
  bluesky::IdentitySettings identity{.plc_directory = settings.text(Opt::kPlc)};
  if (settings.given(Opt::kBotService)) identity.service = settings.text(Opt::kBotService);
  auto client = make_client(net::leads_to_this_machine(identity.plc_directory) ||
                                net::leads_to_this_machine(identity.service),
                            watch);
  const bluesky::Transport transport = transport_over(client);
  BOBBY_TRY(const bluesky::Account account,
            bluesky::find_account(transport.get, bluesky::look_up_txt, who, identity));
  BOBBY_TRY(auto session,
            bluesky::Session::log_in(session_settings(settings, account.did, client, watch),
                                     account, {.password = password}));
  return std::unique_ptr<BotAccount>(new BotAccount(std::move(client), std::move(session)));
}

bluesky::DidOfHandle BotAccount::did_of_handle() {
  return [this](const std::string& handle) -> Result<std::optional<std::string>> {
    BOBBY_TRY(const net::Answer answer, session_.get("com.atproto.identity.resolveHandle",
                                                     "handle=" + net::escape_query(handle)));
    constexpr int kOk = 200;
    constexpr int kBadRequest = 400;  // how servers say that nobody goes by it
    if (answer.status == kBadRequest) return std::nullopt;
    const auto body = nlohmann::json::parse(answer.body, nullptr, false);
    const std::string* did = bluesky::text_of(body, "did");
    if (answer.status == kOk && did != nullptr && bluesky::is_did(*did)) return *did;
    return fail({.code = ErrorCode::kIo,
                 .where = account().service,
                 .problem = fmt::format("does not say who @{} is", handle),
                 .found = fmt::format("status {}", answer.status)});
  };
}

}  // namespace bobby
