#include "generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"

namespace bobby {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Everything off; a test turns on what it is about.
Sampling plain() {
  Sampling sampling;
  sampling.temperature = 1.0f;
  sampling.top_p = 0.0f;
  return sampling;
}

std::vector<std::int32_t> ids(const std::vector<SampledToken>& tokens) {
  std::vector<std::int32_t> out;
  for (const SampledToken& token : tokens) out.push_back(token.token);
  return out;
}

using Ids = std::vector<std::int32_t>;

// Logits of probabilities that are powers of two: 1/2, 1/4, 1/8, 1/16, 1/16.
const std::vector<float> kHalves = {std::log(8.0f), std::log(4.0f), std::log(2.0f), 0.0f, 0.0f};

TEST(Argmax, TakesTheLowestIdAmongEquals) {
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f, 3.0f};
  EXPECT_EQ(argmax(logits).token, 1);
  Sampling greedy = plain();
  greedy.temperature = 0.0f;
  EXPECT_EQ(sample(logits, greedy, {}).token, 1);
  EXPECT_NEAR(argmax(kHalves).logprob, std::log(0.5f), 1e-6f);
}

TEST(CheckLogits, NamesTheFirstBadOne) {
  std::vector<float> logits(1000, -3.0f);
  EXPECT_TRUE(check_logits(logits, 7));
  for (const float bad : {kNan, kInf, -kInf}) {
    logits[617] = bad;
    const auto checked = check_logits(logits, 7);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::kNumeric);
    EXPECT_NE(checked.error().to_string().find("position 7"), std::string::npos);
    EXPECT_NE(checked.error().to_string().find("token 617"), std::string::npos);
  }
}

TEST(Penalties, ApplyInTheirOrder) {
  Sampling sampling = plain();
  sampling.logit_bias = {{0, 1.0f}, {4, -kInf}};
  sampling.repetition_penalty = 2.0f;
  sampling.presence_penalty = 0.5f;
  sampling.frequency_penalty = 0.25f;
  std::vector<float> logits = {1.0f, -1.0f, 3.0f, 4.0f, 5.0f};
  apply_penalties(logits, Ids{0, 1, 1}, sampling);
  EXPECT_EQ(logits[0], (1.0f + 1.0f) / 2.0f - 0.5f - 0.25f);
  EXPECT_EQ(logits[1], -1.0f * 2.0f - 0.5f - 2 * 0.25f);
  EXPECT_EQ(logits[2], 3.0f);
  EXPECT_EQ(logits[3], 4.0f);
  EXPECT_EQ(logits[4], -kInf);
}

TEST(Penalties, LookBackOverTheirContextOnly) {
  Sampling sampling = plain();
  sampling.presence_penalty = 1.0f;
  sampling.penalty_context = 2;
  std::vector<float> logits = {0.0f, 0.0f, 0.0f};
  apply_penalties(logits, Ids{0, 1, 2}, sampling);
  EXPECT_EQ(logits, (std::vector<float>{0.0f, -1.0f, -1.0f}));
}

TEST(Filter, TopPDropsTokensWithThatMassAboveThem) {
  Sampling sampling = plain();
  for (const auto& [top_p, kept] : std::map<float, Ids>{{0.01f, {0}},
                                                        {0.4f, {0}},
                                                        {0.6f, {0, 1}},
                                                        {0.8f, {0, 1, 2}},
                                                        {0.9f, {0, 1, 2, 3, 4}},  // 3 and 4 equal
                                                        {1.0f, {0, 1, 2, 3, 4}}}) {
    sampling.top_p = top_p;
    EXPECT_EQ(ids(filter(kHalves, sampling, 0.0)), kept) << top_p;
  }
}

TEST(Filter, KeepsAllEqualsOfTheLastToken) {
  Sampling sampling = plain();
  sampling.top_p = 0.3f;
  EXPECT_EQ(ids(filter(std::vector<float>(6, 2.0f), sampling, 0.0)), (Ids{0, 1, 2, 3, 4, 5}));
}

TEST(Filter, MinPComparesWithTheLikeliest) {
  Sampling sampling = plain();
  sampling.min_p = 0.3f;  // of 1/2: 0.15
  EXPECT_EQ(ids(filter(kHalves, sampling, 0.0)), (Ids{0, 1}));
  sampling.min_p = 1.0f;
  EXPECT_EQ(ids(filter(kHalves, sampling, 0.0)), (Ids{0}));
}

TEST(Filter, TopKPrefersLowIdsAmongEquals) {
  Sampling sampling = plain();
  sampling.top_k = 4;
  EXPECT_EQ(ids(filter(kHalves, sampling, 0.0)), (Ids{0, 1, 2, 3}));
  sampling.top_k = 100;
  EXPECT_EQ(filter(kHalves, sampling, 0.0).size(), 5u);
}

TEST(Filter, XtcDropsTheLikelyButTheLeast) {
  Sampling sampling = plain();
  sampling.xtc_probability = 0.5f;
  sampling.xtc_threshold = 0.1f;  // 1/2, 1/4 and 1/8 are above
  EXPECT_EQ(ids(filter(kHalves, sampling, 0.2)), (Ids{2, 3, 4}));
  EXPECT_EQ(ids(filter(kHalves, sampling, 0.7)), (Ids{0, 1, 2, 3, 4})) << "not this time";
  sampling.xtc_special_tokens = {1};
  EXPECT_EQ(ids(filter(kHalves, sampling, 0.2)), (Ids{1, 2, 3, 4}));
  sampling.xtc_threshold = 0.5f;
  EXPECT_EQ(ids(filter(kHalves, sampling, 0.2)).size(), 5u) << "none is above";
}

TEST(Filter, SortsTheWholeOfALargeFlatVocabulary) {
  // Logits over a range far wider than the first bands, in chance order.
  std::vector<float> logits(20'000);
  for (std::uint32_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>(uniform(3, 0, i, 0) * 400.0 - 200.0);
  const auto tokens = filter(logits, plain(), 0.0);
  ASSERT_EQ(tokens.size(), logits.size());
  std::vector<std::int32_t> expected(logits.size());
  std::iota(expected.begin(), expected.end(), 0);
  std::stable_sort(expected.begin(), expected.end(), [&](std::int32_t a, std::int32_t b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    // Logits that differ by less than their log-probabilities can show are equals.
    ASSERT_NEAR(logits[static_cast<std::size_t>(tokens[i].token)],
                logits[static_cast<std::size_t>(expected[i])], 2e-5f);
    ASSERT_TRUE(i == 0 || tokens[i - 1].logprob >= tokens[i].logprob);
  }
}

/// How often each token is drawn, over `draws` positions of one seed.
std::vector<double> frequencies(const std::vector<float>& logits, const Sampling& sampling,
                                int draws) {
  std::vector<double> counts(logits.size(), 0.0);
  for (int i = 0; i < draws; ++i)
    counts[static_cast<std::size_t>(
        sample(logits, sampling, {11, 0, static_cast<std::uint32_t>(i)}).token)] += 1.0 / draws;
  return counts;
}

void expect_near(const std::vector<double>& found, const std::vector<double>& expected, int draws) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    // Five standard deviations of a share.
    const double bound = 5.0 * std::sqrt(expected[i] * (1.0 - expected[i]) / draws) + 1e-9;
    EXPECT_NEAR(found[i], expected[i], bound) << "token " << i;
  }
}

TEST(Sample, DrawsByProbability) {
  constexpr int kDraws = 20'000;
  expect_near(frequencies(kHalves, plain(), kDraws), {0.5, 0.25, 0.125, 0.0625, 0.0625}, kDraws);
  // At temperature 1/2 the weights are squared: 64, 16, 4, 1, 1 of 86.
  Sampling cold = plain();
  cold.temperature = 0.5f;
  expect_near(frequencies(kHalves, cold, kDraws),
              {64.0 / 86, 16.0 / 86, 4.0 / 86, 1.0 / 86, 1.0 / 86}, kDraws);
  // top_p sees temperature 1, the draw its temperature: 8 and 4 squared.
  cold.top_p = 0.6f;
  expect_near(frequencies(kHalves, cold, kDraws), {0.8, 0.2, 0.0, 0.0, 0.0}, kDraws);
}

TEST(Sample, DependsOnItsPointAlone) {
  const std::vector<float> logits(1000, 0.0f);
  const Sampling sampling = plain();
  const auto at = [&](RandomPoint point) { return sample(logits, sampling, point).token; };
  EXPECT_EQ(at({1, 2, 3}), at({1, 2, 3}));
  EXPECT_NE(at({1, 2, 3}), at({2, 2, 3}));
  EXPECT_NE(at({1, 2, 3}), at({1, 3, 3}));
  EXPECT_NE(at({1, 2, 3}), at({1, 2, 4}));
}

TEST(Sample, ReportsTheLogprobBeforeAnyFilter) {
  Sampling sampling = plain();
  sampling.temperature = 0.1f;
  sampling.top_k = 1;
  const SampledToken token = sample(kHalves, sampling, {});
  EXPECT_EQ(token.token, 0);
  EXPECT_NEAR(token.logprob, std::log(0.5f), 1e-6f);
}

TEST(Sample, NeverDrawsABannedToken) {
  std::vector<float> logits = {0.0f, 5.0f, 0.0f};
  Sampling sampling = plain();
  sampling.logit_bias = {{1, -kInf}};
  apply_penalties(logits, {}, sampling);
  for (std::uint32_t i = 0; i < 200; ++i) EXPECT_NE(sample(logits, sampling, {1, 0, i}).token, 1);
}

TEST(Sample, SurvivesExtremeLogits) {
  constexpr float kMax = std::numeric_limits<float>::max();
  const std::vector<float> logits = {-kMax, kMax, 0.0f, -1e30f};
  Sampling sampling;  // the defaults
  EXPECT_EQ(sample(logits, sampling, {}).token, 1);
  sampling.temperature = 1e-30f;
  EXPECT_EQ(sample(logits, sampling, {}).token, 1);
  EXPECT_EQ(sample(logits, plain(), {}).token, 1);
  EXPECT_EQ(sample(std::vector<float>{-3.0f}, plain(), {}).token, 0) << "a vocabulary of one";
}

TEST(SamplingSettings, AreAllCheckedTogether) {
  EXPECT_TRUE(Sampling().validate(100));
  Sampling bad;
  bad.temperature = kNan;
  bad.top_p = 1.5f;
  bad.top_k = -1;
  bad.repetition_penalty = 0.0f;
  bad.logit_bias = {{100, 1.0f}, {3, kInf}};
  const auto checked = bad.validate(100);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kUsage);
  const std::string text = checked.error().to_string();
  for (const char* flag :
       {"temperature", "top-p", "top-k", "repetition-penalty", "logit-bias token"})
    EXPECT_NE(text.find(flag), std::string::npos) << flag << " is not in:\n" << text;
  Sampling all_banned;
  all_banned.logit_bias = {{0, -kInf}, {1, -kInf}};
  EXPECT_FALSE(all_banned.validate(2));
}

}  // namespace
}  // namespace bobby
