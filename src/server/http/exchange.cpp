#include "server/http/exchange.h"

namespace bobby::http {

std::optional<std::string_view> Request::field(std::string_view name) const {
  const auto found = fields.find(name);
  if (found == fields.end()) return std::nullopt;
  return found->second;
}

}  // namespace bobby::http
