#include "voice/post_rules.h"

#include <utility>

#include "voice/graphemes.h"
#include "voice/post_steps.h"
#include "voice/utf8.h"

namespace bobby {
namespace {

/// One pass over the text in `post`, in the order of the contract.
void clean_once(CleanPost& post, const PostRules& rules) {
  std::string text(detail::cut_at_stop(post.text, rules.stops));
  text = detail::remove_thinking(text, post.removed_thinking);
  if (rules.remove_hashtags) {
    detail::Stripped stripped = detail::remove_hashtags(text);
    text = std::move(stripped.text);
    post.removed_hashtags += stripped.removed;
  }
  if (rules.remove_emojis) {
    detail::Stripped stripped = detail::remove_emojis(text);
    text = std::move(stripped.text);
    post.removed_emojis += stripped.removed;
  }
  text = detail::collapse_whitespace(text);
  text = detail::trim_wrapping_quotes(text, post.trimmed_quotes);
  if (rules.char_limit > 0) text = detail::cut_to_limit(text, rules.char_limit, post.cut);
  post.text = std::move(text);
}

}  // namespace

CleanPost clean_post(std::string_view answer, const PostRules& rules) {
  CleanPost post;
  post.text = repair_utf8(answer);
  // A step may uncover work for an earlier one (an emoji inside a marker, quotes around what a cut
  // left), so passes go on until one changes nothing: that makes the result idempotent. It ends:
  // every change takes bytes away, turns whitespace into a space, or is a cut, which happens once.
  std::string before;
  do {
    before = post.text;
    clean_once(post, rules);
  } while (post.text != before);
  post.graphemes = count_graphemes(post.text);
  post.too_short = post.graphemes == 0 || post.graphemes < rules.min_chars;
  return post;
}

}  // namespace bobby
