#pragma once

#include <string_view>

namespace bobby::bluesky {

/// The formats of a lexicon's texts.

/// RFC 3339 with a zone, as the lexicon narrows it: "2025-11-28T16:07:31.042Z".
bool is_record_time(std::string_view text);

/// A URI of any scheme, without white space.
bool is_uri(std::string_view text);

/// A record's key, of any collection.
bool is_record_key(std::string_view text);

/// A content identifier, by its form alone.
bool is_cid(std::string_view text);

/// at://DID/COLLECTION/KEY.
struct RecordUri {
  std::string_view did;
  std::string_view collection;
  std::string_view key;
};
/// Empty parts where the text is no such thing.
RecordUri parse_record_uri(std::string_view text);

}  // namespace bobby::bluesky
