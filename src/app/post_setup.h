#pragma once

#include <cstdint>

#include "app/settings.h"
#include "app/voice_setup.h"
#include "posts/post_request.h"

namespace bobby {

/// A seed that nobody gave: short enough to be typed again.
std::uint64_t draw_seed();

/// A request for posts as the settings say: all but the voice (form and rules), adapters and count.
PostRequest post_settings(const Settings& settings);

/// The request that the settings ask for in that voice, without adapters and callbacks. A seed that
/// is not set is drawn.
PostRequest post_request(const Settings& settings, const VoiceSetup& voice);

}  // namespace bobby
