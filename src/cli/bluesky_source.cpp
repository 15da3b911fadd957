#include "cli/bluesky_source.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "bluesky/identity.h"
#include "bluesky/records.h"
#include "cli/console.h"
#include "cli/signals.h"
#include "data/bluesky/post_record.h"
#include "data/bluesky/record_source.h"
#include "data/bluesky/repo_source.h"
#include "http/client.h"
#include "http/url.h"

namespace bobby::cli {
namespace {

bool is_path(const std::string& text) {
  std::error_code code;
  return std::filesystem::exists(text, code) || text.find('/') != std::string::npos ||
         text.ends_with(".car");
}

net::ClientSettings client_settings(const bluesky::IdentitySettings& identity) {
  net::ClientSettings client;
  // Who asks a server on this machine is testing; from elsewhere no document may lead here.
  client.plain_http_to_loopback = net::leads_to_this_machine(identity.plc_directory) ||
                                  net::leads_to_this_machine(identity.service);
  client.watch = [] {
    if (cancelled()) throw Interrupted();
  };
  return client;
}

}  // namespace

Result<std::unique_ptr<data::PostSource>> open_bluesky(const std::string& text,
                                                       const Settings& settings) {
  if (is_path(text)) return data::open_bluesky_repo(text);
  if (settings.flag(Opt::kOffline))
    return fail({.code = ErrorCode::kUsage,
                 .where = text,
                 .problem = "is no file, and --offline forbids asking the network",
                 .hint = "export the repository and give its .car file"});
  bluesky::IdentitySettings identity{.plc_directory = settings.text(Opt::kPlc)};
  if (settings.given(Opt::kService)) identity.service = settings.text(Opt::kService);
  const auto client = std::make_shared<net::Client>(client_settings(identity));
  const net::Get get = [client](const std::string& url) { return client->get(url); };
  BOBBY_TRY(const bluesky::Account account,
            bluesky::find_account(get, bluesky::look_up_txt, text, identity));
  return data::listed_bluesky_posts(account.did, [get, account](const data::ListedRecordSink& sink,
                                                                const ProgressFn& progress) {
    return bluesky::list_records(get, account, std::string(data::kPostCollection), sink, progress);
  });
}

}  // namespace bobby::cli
