#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/result.h"

namespace bobby::data {

/// One post as a source found it: its words in UTF-8 as a reader saw them, and what is known of it.
struct SourcePost {
  std::string text;
  std::string source;  // what it came from, as named in counts and manifest: "twitter:archive.zip"
  std::string id;      // the source's own name of it; may be empty
  std::int64_t time = 0;  // seconds since 1970, UTC; 0: unknown
  std::string language;   // as the source tells it (BCP 47), may be empty
  bool reply = false;     // an answer to somebody
  bool quote = false;     // words about a post that it quotes
  std::string prompt;  // what it answered, where the source holds that; empty: one is chosen for it
};

/// Takes a source's posts one by one, as they are read; an error ends the reading and is its
/// answer.
using PostSink = std::function<Result<void>(SourcePost)>;

/// What became of a source's entries: `read` = `taken` + the sum of `left_out`, which holds how
/// many were left out by reason (a few words, as a person reads them).
struct SourceCounts {
  std::map<std::string, std::uint64_t> left_out;
  std::uint64_t read = 0;
  std::uint64_t taken = 0;
  std::map<std::string, std::uint64_t>
      noted;  // what was done to texts before they were chosen from

  void leave_out(const std::string& reason, std::uint64_t count = 1) { left_out[reason] += count; }
};

}  // namespace bobby::data
