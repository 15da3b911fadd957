#include "app/adapter_registry.h"

#include <algorithm>
#include <condition_variable>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "app/adapter_files.h"
#include "app/engine.h"
#include "app/locate.h"
#include "app/suggest.h"
#include "app/voice_setup.h"

namespace bobby {
namespace {

namespace fs = std::filesystem;
using server::AdapterChoice;
using server::AdapterEntry;

constexpr std::chrono::seconds kLookEvery{1};

/// An adapter as it was read, and as it was uploaded. DoRA's row norms are made for one factor: it
/// has an upload for each; any other adapter has one.
struct Version {
  std::shared_ptr<const Adapter> adapter;
  std::map<float, std::shared_ptr<const AttachedAdapter>> attached;
};

/// A name on offer. `version` is empty until it is first used.
struct Offer {
  fs::path folder;
  AdapterEntry entry;
  FolderStamp stamp;                ///< of what `entry` and `version` were read from
  std::optional<FolderStamp> seen;  ///< a newer one that may still be being written
  std::shared_ptr<Version> version;
};

fs::path resolved_folder(const fs::path& folder) {
  std::error_code unresolved;
  fs::path whole = fs::weakly_canonical(folder, unresolved);
  return unresolved ? folder : whole;
}

Result<std::shared_ptr<const Adapter>> read(const fs::path& folder) {
  BOBBY_TRY(Adapter adapter, load_adapter(folder));
  return std::make_shared<const Adapter>(std::move(adapter));
}

}  // namespace

struct AdapterRegistry::State {
  RegistryParts parts;
  std::vector<AdapterChoice> defaults;
  std::optional<fs::path> folder_of_all;  ///< --adapter-dir

  std::mutex reading;  // held while an adapter is read or uploaded: one at a time

  mutable std::mutex mutex;  // guards the rest, briefly
  std::map<std::string, Offer, std::less<>> offers;
  std::set<fs::path> left_out;  ///< of --adapter-dir: unloaded, or found broken as they stand
  std::map<std::string, server::Voice> voices;  ///< by the names that it was asked for
  std::condition_variable wake;
  bool stopping = false;
  std::thread watcher;

  void note(std::string_view sentence) const {
    if (parts.note) parts.note(sentence);
  }

  /// `wanted`, or with a number behind it where another folder has that name.
  std::string free_name(const std::string& wanted, const fs::path& folder) const {
    for (int number = 1;; ++number) {
      const std::string name = number == 1 ? wanted : fmt::format("{}-{}", wanted, number);
      const auto found = offers.find(name);
      if (found == offers.end() || found->second.folder == folder) return name;
    }
  }

  Error unknown(std::string_view name) const {
    std::vector<std::string> known;
    for (const auto& [each, offer] : offers) known.push_back(each);
    return {.code = ErrorCode::kNotFound,
            .where = fmt::format("adapter '{}'", name),
            .problem = "is not loaded here",
            .hint = known.empty() ? "POST /v1/adapters loads one" : did_you_mean(name, known)};
  }

  /// Takes the adapter in; whoever had the name has it no longer.
  AdapterEntry offer(const std::string& name, const fs::path& folder, const Adapter& adapter,
                     FolderStamp stamp, bool is_default) {
    const std::lock_guard lock(mutex);
    Offer& offer = offers[name];
    offer = {.folder = folder,
             .entry = describe(adapter, name),
             .stamp = std::move(stamp),
             .seen = {},
             .version = nullptr};
    offer.entry.is_default = is_default;
    voices.clear();
    return offer.entry;
  }

  /// The offer's adapter, read if need be. `reading` is held.
  Result<std::shared_ptr<Version>> version_of(std::string_view name) {
    fs::path folder;
    {
      const std::lock_guard lock(mutex);
      const auto found = offers.find(name);
      if (found == offers.end()) return fail(unknown(name));
      if (found->second.version) return found->second.version;
      folder = found->second.folder;
    }
    const FolderStamp stamp = stamp_of(folder);
    auto version = std::make_shared<Version>();
    BOBBY_TRY(version->adapter, read(folder));
    const std::lock_guard lock(mutex);
    const auto found = offers.find(name);
    if (found == offers.end()) return fail(unknown(name));
    put(found->second, version, stamp);
    return version;
  }

  /// `mutex` is held.
  void put(Offer& offer, std::shared_ptr<Version> version, FolderStamp stamp) {
    const bool is_default = offer.entry.is_default;
    offer.entry = describe(*version->adapter, offer.entry.name);
    offer.entry.is_default = is_default;
    offer.entry.loaded_at = timestamp();
    offer.version = std::move(version);
    offer.stamp = std::move(stamp);
    offer.seen.reset();
    voices.clear();
  }

  /// The version as it is uploaded for `factor`. `reading` is held.
  Result<std::shared_ptr<const AttachedAdapter>> attach(Version& version, float factor) {
    const float fixed = version.adapter->dora ? factor : 1.0f;
    if (const auto found = version.attached.find(fixed); found != version.attached.end())
      return found->second;
    BOBBY_TRY(auto attached, parts.generator->attach(version.adapter, fixed));
    version.attached[fixed] = attached;
    return attached;
  }

  /// Offers the subfolders of --adapter-dir that are new.
  void scan() {
    if (!folder_of_all) return;
    std::error_code unreadable;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(*folder_of_all, unreadable))
      if (is_adapter_folder(entry.path())) found.push_back(resolved_folder(entry.path()));
    std::ranges::sort(found);
    for (const fs::path& folder : found) {
      std::string name;
      {
        const std::lock_guard lock(mutex);
        const auto has = [&](const auto& each) { return each.second.folder == folder; };
        if (left_out.contains(folder) || std::ranges::any_of(offers, has)) continue;
        name = free_name(adapter_name_of(folder), folder);
      }
      FolderStamp stamp = stamp_of(folder);
      if (const auto adapter = read(folder)) {
        offer(name, folder, **adapter, std::move(stamp), false);
      } else {
        note(fmt::format("{} is not offered: {}", folder.string(), adapter.error().to_string()));
        const std::lock_guard lock(mutex);
        left_out.insert(folder);
      }
    }
  }

  /// Takes what changed in the folder of an adapter in use.
  void renew(const std::string& name, const fs::path& folder, const FolderStamp& stamp) {
    const std::lock_guard one(reading);
    auto version = std::make_shared<Version>();
    Result<void> outcome = [&]() -> Result<void> {
      BOBBY_TRY(version->adapter, read(folder));
      BOBBY_CHECK(attach(*version, 1.0f));
      return {};
    }();
    const std::lock_guard lock(mutex);
    const auto found = offers.find(name);
    if (found == offers.end()) return;
    if (outcome) {
      put(found->second, version, stamp);
      note(fmt::format("adapter '{}' changed: new requests get the new one", name));
    } else {
      found->second.stamp = stamp;  // told once
      found->second.seen.reset();
      note(fmt::format("adapter '{}' changed, and stays as it was: {}", name,
                       outcome.error().to_string()));
    }
  }

  void watch() {
    while (true) {
      {
        std::unique_lock lock(mutex);
        if (wake.wait_for(lock, kLookEvery, [this] { return stopping; })) return;
      }
      look();
    }
  }

  void look() {
    scan();
    struct Changed {
      std::string name;
      fs::path folder;
      FolderStamp stamp;
    };
    std::vector<Changed> changed;
    {
      const std::lock_guard lock(mutex);
      for (auto& [name, offer] : offers) {
        FolderStamp now = stamp_of(offer.folder);
        if (now == offer.stamp) continue;
        // Files that are being written change again until the next look.
        if (offer.seen == now)
          changed.push_back({name, offer.folder, now});
        else
          offer.seen = std::move(now);
      }
    }
    for (const Changed& each : changed) renew(each.name, each.folder, each.stamp);
  }
};

AdapterRegistry::AdapterRegistry(std::unique_ptr<State> state) : state_(std::move(state)) {}

AdapterRegistry::~AdapterRegistry() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  if (state_->watcher.joinable()) state_->watcher.join();
}

Result<std::unique_ptr<AdapterRegistry>> AdapterRegistry::open(RegistryParts parts) {
  const Settings& settings = *parts.settings;
  auto state = std::make_unique<State>();
  state->parts = std::move(parts);
  BOBBY_TRY(const std::vector<ChosenAdapter> chosen, load_adapters(settings));
  for (const ChosenAdapter& each : chosen) {
    const fs::path folder = resolved_folder(each.name.folder);
    const std::string name = state->free_name(adapter_name_of(folder), folder);
    state->offer(name, folder, *each.adapter, stamp_of(folder), true);
    state->defaults.push_back({name, each.name.scale});
  }
  if (settings.given(Opt::kAdapterDir)) {
    const fs::path folder = settings.text(Opt::kAdapterDir);
    std::error_code status;
    if (!fs::is_directory(folder, status))
      return fail({.code = ErrorCode::kNotFound,
                   .where = fmt::format("--adapter-dir {}", folder.string()),
                   .problem = "is no folder"});
    state->folder_of_all = folder;
  }
  state->scan();
  state->watcher = std::thread([watching = state.get()] { watching->watch(); });
  return std::unique_ptr<AdapterRegistry>(new AdapterRegistry(std::move(state)));
}

std::vector<AdapterChoice> AdapterRegistry::defaults() const {
  return state_->defaults;
}

std::vector<AdapterEntry> AdapterRegistry::list() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<AdapterEntry> entries;
  for (const auto& [name, offer] : state_->offers) entries.push_back(offer.entry);
  return entries;
}

Result<AdapterUse> AdapterRegistry::find(const AdapterChoice& choice) {
  const std::lock_guard one(state_->reading);
  BOBBY_TRY(const std::shared_ptr<Version> version, state_->version_of(choice.name));
  BOBBY_TRY(const float factor, scale_factor(*version->adapter, choice.scale,
                                             fmt::format("adapter '{}'", choice.name)));
  BOBBY_TRY(auto attached, state_->attach(*version, factor));
  return AdapterUse{std::move(attached), factor};
}

Result<AdapterEntry> AdapterRegistry::load(const std::string& path, const std::string& name) {
  BOBBY_TRY(const AdapterName located, locate_adapter(path, state_->parts.settings->environment()));
  const fs::path folder = resolved_folder(located.folder);
  const std::string wanted = name.empty() ? adapter_name_of(folder) : name;
  if (!is_adapter_name(wanted))
    return fail({.code = ErrorCode::kUsage,
                 .where = "name",
                 .problem = "is no name for an adapter",
                 .expected = "letters, digits, '.', '_' and '-'",
                 .found = fmt::format("'{}'", wanted)});
  const std::lock_guard one(state_->reading);
  bool is_default = false;
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->offers.find(wanted);
    if (found != state_->offers.end() && found->second.folder != folder)
      return fail(
          {.code = ErrorCode::kMismatch,
           .where = "name",
           .problem = fmt::format("'{}' is taken by {}", wanted, found->second.folder.string()),
           .hint = "give another name, or unload that one"});
    is_default = found != state_->offers.end() && found->second.entry.is_default;
  }
  // Uploaded before it is offered, so that one that does not fit the model is none.
  FolderStamp stamp = stamp_of(folder);
  auto version = std::make_shared<Version>();
  BOBBY_TRY(version->adapter, read(folder));
  BOBBY_CHECK(state_->attach(*version, 1.0f));
  state_->offer(wanted, folder, *version->adapter, stamp, is_default);
  const std::lock_guard lock(state_->mutex);
  Offer& offer = state_->offers[wanted];
  state_->left_out.erase(folder);
  state_->put(offer, std::move(version), std::move(stamp));
  return offer.entry;
}

Result<void> AdapterRegistry::unload(std::string_view name) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->offers.find(name);
  if (found == state_->offers.end()) return fail(state_->unknown(name));
  state_->left_out.insert(found->second.folder);
  state_->offers.erase(found);
  state_->voices.clear();
  return {};
}

Result<server::Voice> AdapterRegistry::voice(std::span<const AdapterChoice> choices) {
  std::string key;
  std::vector<ChosenAdapter> chosen;
  {
    const std::lock_guard lock(state_->mutex);
    for (const AdapterChoice& choice : choices) {
      key += choice.name + '\n';
      const auto found = state_->offers.find(choice.name);
      if (found == state_->offers.end()) return fail(state_->unknown(choice.name));
      chosen.push_back({.name = {choice.name, found->second.folder, choice.scale},
                        .adapter = nullptr,
                        .factor = 1.0f});
    }
    if (const auto known = state_->voices.find(key); known != state_->voices.end())
      return known->second;
  }
  BOBBY_TRY(const VoiceSetup setup,
            set_up_voice(*state_->parts.settings, state_->parts.model_folder,
                         state_->parts.model_type, chosen));
  for (const std::string& warning : setup.warnings) state_->note(warning);
  const std::lock_guard lock(state_->mutex);
  return state_->voices[key] = {setup.form, setup.rules};
}

void AdapterRegistry::look() {
  state_->look();
}

}  // namespace bobby
