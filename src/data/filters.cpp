#include "data/filters.h"

#include <algorithm>
#include <fmt/format.h>

#include "data/post_text.h"
#include "voice/graphemes.h"
#include "voice/links.h"
#include "voice/prompt_form.h"

namespace bobby::data {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

}  // namespace

PostFilter::PostFilter(FilterOptions options) : options_(std::move(options)) {
  for (std::string& language : options_.languages) language = lower(language);
}

bool PostFilter::speaks(const std::string& language) const {
  if (language.empty() || options_.languages.empty()) return true;
  const std::string known = lower(language);
  return std::ranges::any_of(options_.languages, [&](const std::string& wanted) {
    return known.starts_with(wanted) &&
           (known.size() == wanted.size() || known[wanted.size()] == '-');
  });
}

std::optional<std::string> PostFilter::apply(SourcePost& post, std::uint64_t& dropped_links) const {
  post.text = tidy(post.text);
  post.prompt = tidy(post.prompt);
  if (post.text.empty()) return "empty";
  if (post.reply && !options_.replies) return "a reply";
  if (post.quote && !options_.quotes) return "words about a post that it quotes";
  if (!speaks(post.language)) return "in another language";
  if (!has_words(post.text)) return "nothing but links, @names, #tags or pictures";
  if (options_.links != LinkRule::kKeep) {
    std::uint64_t found = 0;
    const std::string plain = replace_links(post.text, [&](std::string_view) {
      ++found;
      return std::string();
    });
    if (found > 0 && options_.links == LinkRule::kSkip) return "holds a link";
    if (found > 0) post.text = tidy(plain);
    dropped_links = found;
  }
  for (const PromptForm& form : prompt_forms())
    if (!check_free_of_markers(form, "post", post.text) ||
        !check_free_of_markers(form, "prompt", post.prompt))
      return "holds a sign that ends a turn of a conversation (<|im_end|> and its like)";
  const std::int64_t length = count_graphemes(post.text);
  if (length < options_.min_chars)
    return fmt::format("shorter than {} characters", options_.min_chars);
  if (options_.max_chars > 0 && length > options_.max_chars)
    return fmt::format("longer than {} characters", options_.max_chars);
  return std::nullopt;
}

}  // namespace bobby::data
