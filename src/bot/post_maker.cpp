#include "bot/post_maker.h"

#include <algorithm>
#include <chrono>

namespace bobby::bot {

bool may_pass(const Error& error) {
  return error.code == ErrorCode::kIo || error.code == ErrorCode::kTimeout ||
         error.code == ErrorCode::kBusy || error.code == ErrorCode::kNotFound;
}

Result<Filtered> PostMaker::filtered(std::string_view text) const {
  BOBBY_TRY(Filtered filtered, filter_.apply(text));
  if (filtered.text.empty())
    return fail({.code = ErrorCode::kUsage,
                 .where = "text",
                 .problem = "is empty",
                 .hint = filtered.mentioned.empty() ? "" : "it held nothing but names"});
  if (filtered.refusals.empty()) return filtered;
  std::vector<Error> errors;
  for (const Refusal& refusal : filtered.refusals)
    errors.push_back({.code = ErrorCode::kUsage,
                      .where = "text",
                      .problem = "says what is not to be posted",
                      .found = refusal.to_string(),
                      .hint = refusal.explanation});
  return fail(join_errors(std::move(errors)));
}

Result<std::string> PostMaker::record_of(const Filtered& filtered, store::Moment created,
                                         const PostStyle& style) const {
  bluesky::PostFields fields;
  BOBBY_TRY(fields.content,
            bluesky::make_rich_text(filtered.text, {.did_of_handle = style.did_of_handle}));
  fields.created_at = std::chrono::system_clock::time_point(std::chrono::milliseconds(created));
  fields.langs = style.langs;
  if (style.card_of_page) {
    const auto link =
        std::ranges::find(fields.content.facets, bluesky::FacetKind::kLink, &bluesky::Facet::kind);
    if (link != fields.content.facets.end()) fields.card = style.card_of_page(link->value);
  }
  return bluesky::make_post_record(fields);
}

Result<void> PostMaker::check(std::string_view text) const {
  BOBBY_CHECK(filtered(text));
  return {};
}

Result<PostPreview> PostMaker::preview(std::string_view text) const {
  BOBBY_TRY(Filtered made, filtered(text));
  BOBBY_TRY(const std::string record, record_of(made, 0, {.langs = style_.langs}));
  BOBBY_TRY(bluesky::PostText shown, bluesky::post_text(record));
  return PostPreview{std::move(shown.text), shown.graphemes, std::move(made.text),
                     std::move(made.mentioned)};
}

Result<std::string> PostMaker::record(std::string_view text, store::Moment created) const {
  BOBBY_TRY(const Filtered made, filtered(text));
  return record_of(made, created, style_);
}

}  // namespace bobby::bot
