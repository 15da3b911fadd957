// Bytes as a post's text, and as what the client of Bluesky reads of servers and of its own files:
// records, profiles, tokens, budgets, pages. What it takes must keep its own rules.
//   mkdir seeds && bluesky_client_fuzz -dict=fuzz/bluesky_client.dict NEW_INPUTS seeds

#include <cstdint>
#include <cstdlib>
#include <string>

#include "bluesky/card.h"
#include "bluesky/facets.h"
#include "bluesky/labels.h"
#include "bluesky/language_tag.h"
#include "bluesky/post_record.h"
#include "bluesky/rate_budget.h"
#include "bluesky/record_formats.h"
#include "bluesky/tid.h"
#include "bluesky/token.h"

namespace {

using namespace bobby;
using namespace bobby::bluesky;

void require(bool condition) {
  if (!condition) std::abort();
}

void read_text(std::string_view text) {
  for (const bool shorten : {false, true}) {
    RichTextOptions options{.shorten_links = shorten};
    options.did_of_handle = [](const std::string& handle) -> Result<std::optional<std::string>> {
      return "did:web:" + handle;
    };
    const auto rich = make_rich_text(text, options);
    require(rich.has_value() && (shorten || rich->text == text));
    PostFields fields{.content = *rich, .created_at = {}};
    const auto record = make_post_record(fields);
    // Of what was found no facet is to blame where the text itself is fine.
    if (record) {
      require(check_post_record(*record).has_value() && same_record(*record, *record));
      require(post_text(*record)->text == rich->text);
    } else {
      for (const Error& error : record.error().also)
        require(error.where.find("facets") == std::string::npos ||
                error.where.find(".did") != std::string::npos);
    }
  }
}

void read_answers(const std::string& text) {
  static_cast<void>(check_post_record(text));
  static_cast<void>(token_times(text));
  static_cast<void>(is_language_tag(text));
  static_cast<void>(is_record_time(text));
  static_cast<void>(parse_record_uri(text));
  if (is_tid(text))
    require(make_tid(tid_microseconds(text), 0).substr(0, 11) == text.substr(0, 11));
  require(!card_of_page("https://example.com", text).title.empty());
  if (const auto budget = RateBudget::from_json(text)) {
    const TimePoint now{std::chrono::seconds(1'764'345'600)};
    for (const Spending what : {Spending::kRead, Spending::kCreate, Spending::kLogin}) {
      require(budget->earliest(what, now) >= now);
      require(budget->earliest(what, now) <= now + std::chrono::hours(25));
    }
    require(RateBudget::from_json(budget->to_json()).has_value());
  }
  const auto labelled = with_self_label(text, "bot", true);
  if (labelled && *labelled) {
    require(has_self_label(**labelled, "bot"));
    require(!*with_self_label(**labelled, "bot", true));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  read_text(text);
  read_answers(text);
  return 0;
}
