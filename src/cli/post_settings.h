#pragma once

#include "app/settings.h"
#include "posts/post_request.h"

namespace bobby::cli {

/// How tokens are drawn, as the settings say.
Sampling sampling_of(const Settings& settings);

/// A request for posts as the settings say: all but the voice (form and rules), adapters and count.
PostRequest post_settings(const Settings& settings);

}  // namespace bobby::cli
