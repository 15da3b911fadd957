#pragma once

#include <filesystem>
#include <string_view>

#include "app/locate.h"
#include "app/settings.h"
#include "base/result.h"
#include "hub/cache/pull.h"

namespace bobby {

/// The hub's settings as `settings` and its environment give them: --offline counts as well.
Result<hub::HubSettings> hub_settings(const Settings& settings);

/// locate_model(), and what ORG/NAME[@revision] lacks in the Hugging Face cache is downloaded; a
/// revision that is there and whole is taken as it is, without asking anybody. Offline, what is
/// there is taken, whole or not. `content` is what is needed of it: the model, or its tokenizer.
/// Errors: locate_model()'s, hub::pull()'s.
Result<std::filesystem::path> obtain_model(std::string_view name, const Settings& settings,
                                           const hub::PullWatch& watch,
                                           hub::Content content = hub::Content::kModel);

/// As obtain_model(), of an --adapter.
Result<AdapterName> obtain_adapter(std::string_view text, const Settings& settings,
                                   const hub::PullWatch& watch);

/// As obtain_model(), of ORG/NAME[@revision] alone. kUsage: another shape of name.
Result<std::filesystem::path> obtain_from_hub(std::string_view name, hub::Content content,
                                              const Settings& settings,
                                              const hub::PullWatch& watch);

}  // namespace bobby
