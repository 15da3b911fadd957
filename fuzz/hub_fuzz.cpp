// Bytes as what a hub may answer: a listing, an index of weights, an ETag, a range, a redirect, and
// as a name that a person may give. Whatever they are, nothing that is taken leads out of the
// cache.

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "http/content_range.h"
#include "http/url.h"
#include "hub/cache/cache_layout.h"
#include "hub/cache/file_choice.h"
#include "hub/cache/hub_client.h"

namespace {

using namespace bobby;

void require(bool condition) {
  if (!condition) std::abort();
}

void stays_inside(const std::filesystem::path& folder, const std::filesystem::path& path) {
  const auto relative = path.lexically_normal().lexically_relative(folder);
  require(!relative.empty() && *relative.begin() != ".." && relative != ".");
}

void read_listing(std::string_view text) {
  const auto listing = hub::parse_listing(text, "fuzz");
  if (!listing) return require(!listing.error().to_string().empty());
  require(hub::is_commit(listing->commit));
  for (const std::string& path : listing->paths) stays_inside("/cache", "/cache/" + path);
  const auto choice = hub::choose_files(listing->paths, hub::Content::kAny, {"*.gguf"}, {"a*"});
  require(choice || !choice.error().to_string().empty());
}

void read_names(std::string_view text) {
  const auto files = hub::indexed_weights(text, "fuzz");
  if (files)
    for (const std::string& file : *files)
      require(std::filesystem::path(file).filename() == file && file != ".." && file != ".");
  if (const auto etag = hub::normalized_etag(text)) stays_inside("/blobs", "/blobs/" + *etag);
  if (const auto name = hub::parse_hub_name(text)) {
    const hub::CachedRepository repository("/cache", *name);
    stays_inside("/cache", repository.folder());
    stays_inside("/cache/refs", "/cache/refs/" + name->revision);
  }
  if (const auto range = net::parse_content_range(text)) require(range->first <= range->last);
  const auto target = net::redirect_target("https://hub.example/x", std::string(text));
  require(!target || target->starts_with("https://"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_listing(text);
  read_names(text);
  return 0;
}
