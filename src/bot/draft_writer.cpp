#include "bot/draft_writer.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "voice/graphemes.h"

namespace bobby::bot {
namespace {

constexpr std::uint32_t kMostTexts = 1000;

// In a clause, an error need not say what the text is.
std::string clause_of(const Error& error) {
  return error.found.empty() ? error.to_string()
                             : fmt::format("{}: {}", error.problem, error.found);
}

}  // namespace

double score_of(const Candidate& candidate) {
  constexpr double kSimilarity = 2.0;
  constexpr double kWord = 0.1;
  constexpr std::size_t kFreeWords = 4;
  const std::size_t words = std::max(candidate.novelty.ngram_words, kFreeWords) - kFreeWords;
  return candidate.post.mean_logprob - kSimilarity * candidate.novelty.score -
         kWord * static_cast<double>(words);
}

Candidate DraftWriter::judge(const Post& post) const {
  Candidate candidate{.post = post, .text = post.text, .graphemes = post.graphemes};
  if (auto preview = maker_->preview(post.text); !preview) {
    candidate.why_not = clause_of(preview.error());
  } else if (!preview->mentioned.empty()) {
    candidate.text = std::move(preview->filtered);
    candidate.graphemes = count_graphemes(candidate.text);
  }
  candidate.novelty = past_->check(candidate.text);
  if (candidate.why_not.empty() && candidate.novelty.kind != NoveltyKind::kNew)
    candidate.why_not = candidate.novelty.to_string();
  candidate.score = score_of(candidate);
  return candidate;
}

Result<WrittenDrafts> DraftWriter::write(PostRequest request, const DraftWish& wish) {
  const std::uint64_t texts = std::uint64_t{wish.count} * wish.candidates;
  if (texts == 0 || texts > kMostTexts)
    return fail({.code = ErrorCode::kUsage,
                 .where = "drafts",
                 .problem = "are too many texts at once",
                 .expected = fmt::format("1 to {}", kMostTexts),
                 .found = fmt::format("{} drafts of {} candidates", wish.count, wish.candidates)});
  request.count = static_cast<std::uint32_t>(texts);
  BOBBY_TRY(const PostBatch batch, write_(request));
  WrittenDrafts written{.seed = batch.seed, .cancelled = batch.cancelled};
  std::vector<Candidate> candidates;
  for (const Post& post : batch.posts) candidates.push_back(judge(post));
  std::ranges::stable_sort(candidates, std::ranges::greater(), &Candidate::score);
  for (Candidate& candidate : candidates) {
    if (candidate.why_not.empty() && written.kept.size() == wish.count)
      candidate.why_not = "others are better";
    if (candidate.why_not.empty()) {
      // What was kept meanwhile counts as well.
      const NoveltyReport now = past_->check(candidate.text);
      if (now.kind != NoveltyKind::kNew) candidate.why_not = now.to_string();
    }
    if (!candidate.why_not.empty()) {
      written.others.push_back(std::move(candidate));
      continue;
    }
    past_->add({SourceKind::kDraft, fmt::format("{} of these", written.kept.size() + 1)},
               candidate.text);
    written.kept.push_back(std::move(candidate));
  }
  return written;
}

}  // namespace bobby::bot
