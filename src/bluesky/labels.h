#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bobby::bluesky {

inline constexpr std::string_view kProfileCollection = "app.bsky.actor.profile";
inline constexpr std::string_view kProfileKey = "self";
/// The label of an account that a program posts for.
inline constexpr std::string_view kBotLabel = "bot";

/// A profile's record with the label that its owner gives it set or taken away; everything else in
/// it stays, also what this program does not know. Nothing: it is so already. An empty `record` is
/// a profile that is not there yet. kMalformed for what is no profile, kUnsupported for labels of
/// another kind, kLimit for one label too many.
Result<std::optional<std::string>> with_self_label(std::string_view record, std::string_view label,
                                                   bool set);

/// Whether a profile's record carries the label.
bool has_self_label(std::string_view record, std::string_view label);

}  // namespace bobby::bluesky
