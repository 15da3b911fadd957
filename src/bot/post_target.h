#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bobby::bot {

/// What is known after a request to create a record. The kinds are all there is to know: whatever
/// is neither certain success nor certain failure is kUnknown.
struct CreateAnswer {
  enum class Kind : std::uint8_t {
    kCreated,    ///< it is there: `uri`, `cid`
    kRefused,    ///< the server will never take this record: `problem`
    kNotNow,     ///< it is certainly not there, and may be later: no connection, 429
    kNoAccount,  ///< nothing can be posted until a person acts: wrong password, suspended
    kUnknown,    ///< it may be there: no answer, an answer cut off, any 5xx
  };
  Kind kind = Kind::kUnknown;
  std::string uri = {};
  std::string cid = {};
  std::string problem = {};
  std::optional<std::chrono::milliseconds> wait = {};  ///< what the server asked for
};

/// What is known after asking for a record.
struct FindAnswer {
  enum class Kind : std::uint8_t { kThere, kNotThere, kNoAccount, kUnknown };
  Kind kind = Kind::kUnknown;
  std::string uri = {};
  std::string cid = {};
  std::string record = {};  ///< kThere: its JSON
  std::string problem = {};
  std::optional<std::chrono::milliseconds> wait = {};
};

/// Where posts go: one account's repository. Requests are made once; who calls repeats them.
class PostTarget {
 public:
  virtual ~PostTarget() = default;
  virtual CreateAnswer create(std::string_view record_key, std::string_view record) = 0;
  virtual FindAnswer find(std::string_view record_key) = 0;
  /// Whether two records say the same.
  virtual bool same(std::string_view a, std::string_view b) const = 0;
};

}  // namespace bobby::bot
