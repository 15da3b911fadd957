#pragma once

#include <nlohmann/json.hpp>

#include "posts/post_request.h"

namespace bobby {

/// A post as `bobby post --json` prints it and the server answers with.
nlohmann::ordered_json post_json(const Post& post);

}  // namespace bobby
