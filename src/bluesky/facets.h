#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bobby::bluesky {

enum class FacetKind : std::uint8_t { kLink, kMention, kTag };

/// What bytes [begin, end) of a post's text stand for.
struct Facet {
  std::size_t begin = 0;
  std::size_t end = 0;
  FacetKind kind = FacetKind::kLink;
  std::string value;  ///< the whole URL, the account's DID, or the tag without its "#"

  friend bool operator==(const Facet&, const Facet&) = default;
};

/// A post's text as it is sent, and its facets in order; they do not overlap.
struct RichText {
  std::string text;
  std::vector<Facet> facets;
};

/// The DID of a handle ("alice.example"); nothing: nobody goes by it. An error is of the way there.
using DidOfHandle = std::function<Result<std::optional<std::string>>(const std::string& handle)>;

struct RichTextOptions {
  /// Links are shown as "host/the-first-part...", whole in their facet: as Bluesky's own app does.
  bool shorten_links = true;
  /// Empty: mentions stay plain text.
  DidOfHandle did_of_handle = {};
};

/// Finds what Bluesky's app would make clickable in a text that someone wrote. Links are known by
/// "https://" or "http://" alone: a bare "example.com" is one only in the eyes of a list of
/// domains.
/// "@alice.example" is a mention where somebody goes by that handle, else plain text. "#tag" is a
/// tag unless it is of digits and punctuation alone. The resolver's errors.
Result<RichText> make_rich_text(std::string_view text, const RichTextOptions& options = {});

/// The handles that a text mentions, in order, each once: what DidOfHandle would be asked.
std::vector<std::string> mentioned_handles(std::string_view text);

}  // namespace bobby::bluesky
