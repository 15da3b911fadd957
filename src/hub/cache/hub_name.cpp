#include "hub/cache/hub_name.h"

#include <algorithm>
#include <fmt/format.h>

namespace bobby::hub {
namespace {

constexpr std::size_t kLongestName = 96;
constexpr std::size_t kLongestPath = 1024;
constexpr std::size_t kLongestPart = 255;

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kLongestName) return false;
  const auto ends_badly = [](char c) { return c == '-' || c == '.'; };
  if (ends_badly(text.front()) || ends_badly(text.back())) return false;
  if (text.find("--") != text.npos || text.find("..") != text.npos) return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

bool is_safe_part(std::string_view part) {
  return !part.empty() && part.size() <= kLongestPart && part != "." && part != ".." &&
         std::ranges::none_of(part, [](char c) {
           return static_cast<unsigned char>(c) < ' ' || c == '\x7f' || c == '\\';
         });
}

}  // namespace

std::string HubName::repository() const {
  return organisation + "/" + name;
}

std::string HubName::text() const {
  return revision == "main" ? repository() : repository() + "@" + revision;
}

std::optional<HubName> parse_hub_name(std::string_view text) {
  const auto at = text.find('@');
  const std::string_view repository = text.substr(0, at);
  const auto slash = repository.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  HubName hub{.organisation = std::string(repository.substr(0, slash)),
              .name = std::string(repository.substr(slash + 1))};
  if (at != std::string_view::npos) hub.revision = std::string(text.substr(at + 1));
  if (!is_name(hub.organisation) || !is_name(hub.name) || hub.name.ends_with(".git") ||
      !is_safe_path(hub.revision))
    return std::nullopt;
  return hub;
}

bool is_commit(std::string_view text) {
  constexpr std::size_t kDigits = 40;
  return text.size() == kDigits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_safe_path(std::string_view path) {
  if (path.size() > kLongestPath) return false;
  for (;;) {
    const auto slash = path.find('/');
    if (!is_safe_part(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace bobby::hub
