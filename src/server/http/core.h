#pragma once

#include "server/http/api_keys.h"
#include "server/http/log.h"
#include "server/http/metrics.h"
#include "server/http/origin.h"
#include "server/http/router.h"
#include "server/http/server.h"

namespace bobby::http {

/// What all connections of a server share. Nothing of it changes while it serves.
struct Core {
  ServerOptions options;
  Router router;
  ApiKeys keys;
  Origins origins;
  Log log;
  /// The Host field must be a loopback name: the listener is, and so are its honest clients.
  bool loopback_names_only = true;
};

}  // namespace bobby::http
