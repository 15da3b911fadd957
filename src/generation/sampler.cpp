#include "generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>

#include "base/random.h"
#include "generation/logit_math.h"

namespace bobby {
namespace {

constexpr std::uint32_t kTokenDraw = 0;
constexpr std::uint32_t kXtcDraw = 1;

/// The vocabulary at temperature 1, likeliest first and equals by id, sorted only as far as it is
/// looked at: a nucleus is a few hundred of 151,936 tokens.
class Ranking {
 public:
  explicit Ranking(std::span<const float> logits) : logits_(logits), max_(detail::largest(logits)) {
    log_sum_exp_ = max_ + static_cast<float>(std::log(detail::sum_exp(logits, max_)));
  }

  /// Only the tokens that a backend lists: those that extend() would come upon first.
  explicit Ranking(const TopLogits& top)
      : max_(top.largest),
        log_sum_exp_(top.largest + static_cast<float>(std::log(top.sum_exp))),
        listed_(true) {
    sorted_.reserve(top.tokens.size());
    for (std::size_t i = 0; i < top.tokens.size(); ++i)
      sorted_.push_back({top.tokens[i], top.logits[i] - log_sum_exp_});
    sort_from(0);
  }

  /// Tokens that can be looked at.
  std::size_t size() const { return listed_ ? sorted_.size() : logits_.size(); }
  float logprob(std::size_t id) const { return logits_[id] - log_sum_exp_; }

  const SampledToken& operator[](std::size_t rank) {
    while (rank >= sorted_.size()) extend();
    return sorted_[rank];
  }

  /// The sum of weight() over the vocabulary.
  double total_weight(float temperature) const {
    const float top = max_ - log_sum_exp_;
    double sum = 0.0;
    for (std::size_t id = 0; id < logits_.size(); ++id)
      sum += std::exp((logprob(id) - top) / temperature);
    return sum;
  }

 private:
  /// Appends the tokens of the next band of logits, each band twice as deep as the last.
  void extend() {
    const float ceiling = floor_;
    // Past 128 nothing has a weight left at temperature 1: the last band takes the rest.
    depth_ = depth_ > 64.0f ? std::numeric_limits<float>::infinity() : depth_ * 2;
    floor_ = max_ - depth_;
    const bool first = sorted_.empty();
    const auto begin = static_cast<std::ptrdiff_t>(sorted_.size());
    for (std::size_t id = 0; id < logits_.size(); ++id)
      if (logits_[id] >= floor_ && (first || logits_[id] < ceiling))
        sorted_.push_back({static_cast<std::int32_t>(id), logprob(id)});
    sort_from(begin);
  }

  void sort_from(std::ptrdiff_t begin) {
    std::sort(sorted_.begin() + begin, sorted_.end(),
              [](const SampledToken& a, const SampledToken& b) {
                return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
              });
  }

  std::span<const float> logits_;
  float max_;
  float log_sum_exp_;
  std::vector<SampledToken> sorted_;
  float depth_ = 4.0f;
  float floor_ = 0.0f;
  bool listed_ = false;
};

/// How many of the likeliest top_p keeps: those with less than top_p of the mass above them, and
/// all equals of the last of these. The mass is summed in fp32 as mlx-lm does; in all it is 1.
std::size_t count_top_p(Ranking& ranking, float top_p) {
  float mass_above = 0.0f;
  std::size_t count = 0;
  while (count < ranking.size() && mass_above < top_p)
    mass_above += std::exp(ranking[count++].logprob);
  while (count < ranking.size() && ranking[count].logprob == ranking[count - 1].logprob) ++count;
  return count;
}

std::size_t count_min_p(Ranking& ranking, float min_p, std::size_t most) {
  const float least = ranking[0].logprob + static_cast<float>(std::log(double{min_p}));
  std::size_t count = 0;
  while (count < most && ranking[count].logprob >= least) ++count;
  return count;
}

/// Drops the tokens that are likelier than the least likely one above the threshold.
void apply_xtc(std::vector<SampledToken>& tokens, const Sampling& sampling) {
  double sum = 0.0;
  for (const SampledToken& token : tokens) sum += std::exp(token.logprob);
  const SampledToken* least = nullptr;
  for (const SampledToken& token : tokens)
    if (std::exp(token.logprob) / sum > sampling.xtc_threshold) least = &token;
  if (least == nullptr) return;
  const auto& special = sampling.xtc_special_tokens;
  std::erase_if(tokens, [&, limit = least->logprob](const SampledToken& token) {
    return token.logprob > limit &&
           std::find(special.begin(), special.end(), token.token) == special.end();
  });
}

bool any_filter(const Sampling& sampling, std::size_t vocab_size) {
  return (sampling.top_p > 0.0f && sampling.top_p < 1.0f) || sampling.min_p > 0.0f ||
         sampling.xtc_probability > 0.0f ||
         (sampling.top_k > 0 && static_cast<std::size_t>(sampling.top_k) < vocab_size);
}

/// How many of the likeliest top_p and min_p keep.
std::size_t count_likely(Ranking& ranking, const Sampling& sampling) {
  std::size_t count = ranking.size();
  if (sampling.top_p > 0.0f && sampling.top_p < 1.0f) count = count_top_p(ranking, sampling.top_p);
  if (sampling.min_p > 0.0f) count = count_min_p(ranking, sampling.min_p, count);
  return count;
}

/// `count`: what count_likely() says.
std::vector<SampledToken> filter_ranking(Ranking& ranking, std::size_t count,
                                         const Sampling& sampling, double xtc_draw) {
  const std::size_t top_k = sampling.top_k > 0 ? static_cast<std::size_t>(sampling.top_k) : count;
  const bool xtc = sampling.xtc_probability > 0.0f && xtc_draw <= sampling.xtc_probability;
  if (!xtc) count = std::min(count, top_k);
  std::vector<SampledToken> tokens;
  tokens.reserve(count);
  for (std::size_t rank = 0; rank < count; ++rank) tokens.push_back(ranking[rank]);
  if (xtc) {
    apply_xtc(tokens, sampling);
    tokens.resize(std::min(tokens.size(), top_k));
  }
  return tokens;
}

/// The token at `share` of the summed weights, walking from the likeliest: ranked(i), i < count.
template <typename Ranked>
SampledToken pick(Ranked ranked, std::size_t count, float temperature, double total, double share) {
  const double target = share * total;
  const float top = ranked(0).logprob;
  double sum = 0.0;
  SampledToken last = ranked(0);
  for (std::size_t rank = 0; rank < count; ++rank) {
    const SampledToken token = ranked(rank);
    const double weight = std::exp((token.logprob - top) / temperature);
    if (weight == 0.0) break;
    sum += weight;
    last = token;
    if (sum > target) break;
  }
  return last;
}

double draw(RandomPoint point, std::uint32_t number) {
  return uniform(point.seed, point.sample, point.position, number);
}

SampledToken draw_filtered(Ranking& ranking, std::size_t count, const Sampling& sampling,
                           RandomPoint point) {
  const std::vector<SampledToken> tokens =
      filter_ranking(ranking, count, sampling, draw(point, kXtcDraw));
  double total = 0.0;
  for (const SampledToken& token : tokens)
    total += std::exp((token.logprob - tokens.front().logprob) / sampling.temperature);
  return pick([&](std::size_t rank) { return tokens[rank]; }, tokens.size(), sampling.temperature,
              total, draw(point, kTokenDraw));
}

void require(bool holds, std::string flag, std::string expected, double found,
             std::vector<Error>& errors) {
  if (holds) return;
  errors.push_back({.code = ErrorCode::kUsage,
                    .where = std::move(flag),
                    .problem = "is out of range",
                    .expected = std::move(expected),
                    .found = std::to_string(found)});
}

void check_ids(std::string_view name, std::int32_t id, std::int64_t vocab_size,
               std::vector<Error>& errors) {
  require(id >= 0 && id < vocab_size, std::string(name) + " token",
          "0 to " + std::to_string(vocab_size - 1), id, errors);
}

}  // namespace

bool Sampling::wants_all_logits() const {
  const bool unfiltered =
      temperature > 0.0f && !any_filter(*this, std::numeric_limits<std::size_t>::max());
  return unfiltered || !logit_bias.empty() || repetition_penalty != 1.0f ||
         presence_penalty != 0.0f || frequency_penalty != 0.0f;
}

Result<void> Sampling::validate(std::int64_t vocab_size) const {
  std::vector<Error> errors;
  const auto within = [](double value, double low, double high) {
    return value >= low && value <= high;
  };
  require(within(temperature, 0.0, 100.0), "temperature", "0 to 100", temperature, errors);
  require(within(top_p, 0.0, 1.0), "top-p", "0 to 1", top_p, errors);
  require(within(min_p, 0.0, 1.0), "min-p", "0 to 1", min_p, errors);
  require(top_k >= 0, "top-k", "0 or more", static_cast<double>(top_k), errors);
  require(within(xtc_probability, 0.0, 1.0), "xtc-probability", "0 to 1", xtc_probability, errors);
  require(within(xtc_threshold, 0.0, 0.5), "xtc-threshold", "0 to 0.5", xtc_threshold, errors);
  require(repetition_penalty > 0.0f && repetition_penalty <= 1000.0f, "repetition-penalty",
          "above 0, at most 1000", repetition_penalty, errors);
  require(within(presence_penalty, -1000.0, 1000.0), "presence-penalty", "-1000 to 1000",
          presence_penalty, errors);
  require(within(frequency_penalty, -1000.0, 1000.0), "frequency-penalty", "-1000 to 1000",
          frequency_penalty, errors);
  require(penalty_context >= 0, "penalty-context", "0 or more",
          static_cast<double>(penalty_context), errors);
  std::int64_t banned = 0;
  for (const auto& [id, bias] : logit_bias) {
    check_ids("logit-bias", id, vocab_size, errors);
    const bool ban = bias == -std::numeric_limits<float>::infinity();
    banned += ban ? 1 : 0;
    require(ban || within(bias, -1e6, 1e6), "logit-bias", "-1000000 to 1000000, or -infinity", bias,
            errors);
  }
  require(banned < vocab_size, "logit-bias", "at least one token that is not banned",
          static_cast<double>(banned), errors);
  for (const std::int32_t id : xtc_special_tokens) check_ids("xtc-special", id, vocab_size, errors);
  if (errors.empty()) return {};
  return fail(join_errors(std::move(errors)));
}

Result<void> check_logits(std::span<const float> logits, std::int64_t position) {
  if (detail::all_finite(logits)) return {};
  const auto bad = std::find_if_not(logits.begin(), logits.end(),
                                    [](float logit) { return std::isfinite(logit); });
  return fail({.code = ErrorCode::kNumeric,
               .where = "logits at position " + std::to_string(position),
               .problem = "are not all numbers",
               .expected = "finite values",
               .found = std::to_string(*bad) + " for token " + std::to_string(bad - logits.begin()),
               .hint = "the weights or the adapter hold NaN or infinity: bobby model verify"});
}

void apply_penalties(std::span<float> logits, std::span<const std::int32_t> context,
                     const Sampling& sampling) {
  for (const auto& [id, bias] : sampling.logit_bias) logits[static_cast<std::size_t>(id)] += bias;
  if (sampling.repetition_penalty == 1.0f && sampling.presence_penalty == 0.0f &&
      sampling.frequency_penalty == 0.0f)
    return;
  const std::size_t length =
      std::min(context.size(), static_cast<std::size_t>(sampling.penalty_context));
  std::unordered_map<std::int32_t, int> counts;
  for (const std::int32_t id : context.last(length)) ++counts[id];
  for (const auto& [id, count] : counts) {
    float& logit = logits[static_cast<std::size_t>(id)];
    logit =
        logit < 0.0f ? logit * sampling.repetition_penalty : logit / sampling.repetition_penalty;
    logit -= sampling.presence_penalty;
    logit -= sampling.frequency_penalty * static_cast<float>(count);
  }
}

SampledToken argmax(std::span<const float> logits) {
  const auto likeliest =
      std::find(logits.begin(), logits.end(), detail::largest(logits)) - logits.begin();
  return {static_cast<std::int32_t>(likeliest),
          Ranking(logits).logprob(static_cast<std::size_t>(likeliest))};
}

std::vector<SampledToken> likeliest(std::span<const float> logits, std::size_t count) {
  Ranking ranking(logits);
  std::vector<SampledToken> tokens;
  for (std::size_t rank = 0; rank < std::min(count, ranking.size()); ++rank)
    tokens.push_back(ranking[rank]);
  return tokens;
}

std::vector<SampledToken> filter(std::span<const float> logits, const Sampling& sampling,
                                 double xtc_draw) {
  Ranking ranking(logits);
  return filter_ranking(ranking, count_likely(ranking, sampling), sampling, xtc_draw);
}

SampledToken sample(std::span<const float> logits, const Sampling& sampling, RandomPoint point) {
  if (sampling.temperature == 0.0f) return argmax(logits);
  Ranking ranking(logits);
  if (!any_filter(sampling, ranking.size()))
    return pick([&](std::size_t rank) { return ranking[rank]; }, ranking.size(),
                sampling.temperature, ranking.total_weight(sampling.temperature),
                draw(point, kTokenDraw));
  return draw_filtered(ranking, count_likely(ranking, sampling), sampling, point);
}

std::optional<SampledToken> sample(const TopLogits& top, const Sampling& sampling,
                                   RandomPoint point) {
  Ranking ranking(top);
  if (ranking.size() == 0) return std::nullopt;
  if (sampling.temperature == 0.0f) return ranking[0];
  const std::size_t count = count_likely(ranking, sampling);
  // A filter that keeps all that are listed might keep more.
  const bool cut_by_top_k = sampling.top_k > 0 &&
                            static_cast<std::size_t>(sampling.top_k) < ranking.size() &&
                            sampling.xtc_probability == 0.0f;
  if (!cut_by_top_k && count == ranking.size()) return std::nullopt;
  return draw_filtered(ranking, count, sampling, point);
}

}  // namespace bobby
