#include "app/obtain.h"

#include <utility>

#include "hub/cache/hub_name.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;

// Whether a name that was found, or not, is one of the hub: no folder, and ORG/NAME.
bool is_of_hub(std::string_view name) {
  std::error_code status;
  return !fs::exists(name, status) && hub::parse_hub_name(name);
}

Result<fs::path> pull_folder(const hub::HubName& name, hub::Content content,
                             const Settings& settings, const hub::PullWatch& watch) {
  BOBBY_TRY(const hub::HubSettings its, hub_settings(settings));
  if (auto whole = hub::find_whole(name, content, its.cache)) return *std::move(whole);
  if (its.offline)
    if (auto snapshot = hub::find_snapshot(name, its.cache)) return *std::move(snapshot);
  BOBBY_TRY(const hub::Pulled pulled, hub::pull({.name = name, .content = content}, its, watch));
  return pulled.folder;
}

}  // namespace

Result<hub::HubSettings> hub_settings(const Settings& settings) {
  BOBBY_TRY(hub::HubSettings its, hub::HubSettings::read([&](std::string_view name) {
              return settings.environment().get(name);
            }));
  its.offline = its.offline || settings.flag(Opt::kOffline);
  return its;
}

Result<fs::path> obtain_from_hub(std::string_view name, hub::Content content,
                                 const Settings& settings, const hub::PullWatch& watch) {
  if (const auto hub_name = hub::parse_hub_name(name))
    return pull_folder(*hub_name, content, settings, watch);
  return fail({.code = ErrorCode::kUsage,
               .where = std::string(name),
               .problem = "is not a name of the hub",
               .expected = "ORG/NAME, with an optional @revision"});
}

Result<fs::path> obtain_model(std::string_view name, const Settings& settings,
                              const hub::PullWatch& watch, hub::Content content) {
  if (!is_of_hub(name)) return locate_model(name, settings.environment());
  return obtain_from_hub(name, content, settings, watch);
}

Result<AdapterName> obtain_adapter(std::string_view text, const Settings& settings,
                                   const hub::PullWatch& watch) {
  AdapterName adapter = parse_adapter_name(text, settings.environment());
  if (!is_of_hub(adapter.name)) return locate_adapter(text, settings.environment());
  BOBBY_TRY(adapter.folder, obtain_from_hub(adapter.name, hub::Content::kAdapter, settings, watch));
  return adapter;
}

}  // namespace bobby
