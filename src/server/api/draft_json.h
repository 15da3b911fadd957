#pragma once

#include "server/api/errors.h"
#include "store/draft_store.h"

namespace bobby::server {

/// A draft as the API tells it, with where its post stands and the last decision about it.
Json draft_json(const store::Draft& draft);

}  // namespace bobby::server
