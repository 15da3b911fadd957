#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace bobby::hub {

/// A repository of the hub, and which state of it: ORG/NAME[@REVISION].
struct HubName {
  std::string organisation;
  std::string name;
  std::string revision = "main";  ///< a branch, a tag, "refs/pr/1" or a commit

  /// "ORG/NAME"
  std::string repository() const;
  /// "ORG/NAME", with "@REVISION" where that is not main.
  std::string text() const;
};

/// None for what the hub would not take: names are up to 96 letters, digits, "-", "_" and ".", do
/// not begin or end with "-" or "." nor end with ".git", and hold no "--" or ".."; a revision is a
/// safe relative path.
std::optional<HubName> parse_hub_name(std::string_view text);

/// Whether `text` is a commit: 40 lower-case hex digits.
bool is_commit(std::string_view text);

/// Whether `path` leads somewhere under the folder it is taken to: parts with "/" between them,
/// none of them empty, "." or "..", without control characters or "\"; up to 1024 bytes, 255 a
/// part.
bool is_safe_path(std::string_view path);

}  // namespace bobby::hub
