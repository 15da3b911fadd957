// A token drawn from what a backend tells of the logits is the token drawn from the logits.

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "generation/logit_math.h"
#include "generation/sampler.h"

namespace bobby {
namespace {

/// What a backend makes of a row: tokens in no order.
struct Top {
  Top(const std::vector<float>& row, float depth, std::size_t most) {
    top.finite = true;
    top.largest = detail::largest(row);
    top.sum_exp = detail::sum_exp(row, top.largest);
    top.floor = top.largest - depth;
    for (std::size_t id = row.size(); id-- > 0;)
      if (row[id] >= top.floor) {
        tokens.push_back(static_cast<std::int32_t>(id));
        logits.push_back(row[id]);
      }
    if (tokens.size() > most) return;
    top.tokens = tokens;
    top.logits = logits;
  }
  std::vector<std::int32_t> tokens;
  std::vector<float> logits;
  TopLogits top;
};

std::vector<float> row(std::size_t size, float spread, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> logits(size);
  for (float& logit : logits) logit = std::round(normal(random) * 16.0f) / 16.0f;  // with equals
  return logits;
}

std::vector<Sampling> settings() {
  std::vector<Sampling> all(9);
  all[1].temperature = 0.0f;
  all[2].top_p = 0.0f;
  all[2].min_p = 0.05f;
  all[3].top_p = 1.0f;
  all[3].top_k = 7;
  all[4].top_p = 0.99f;
  all[4].top_k = 40;
  all[5].xtc_probability = 1.0f;
  all[5].xtc_threshold = 0.05f;
  all[6].xtc_probability = 0.5f;
  all[6].top_k = 3;
  all[7].top_p = 0.0f;
  all[7].min_p = 1.0f;
  all[8].temperature = 2.5f;
  all[8].top_p = 0.5f;
  return all;
}

TEST(TopLogits, GiveTheTokenOfTheWholeRow) {
  std::mt19937 random(5);
  int drawn = 0;
  int tried = 0;
  for (const float spread : {0.5f, 2.0f, 4.0f, 8.0f}) {
    for (int i = 0; i < 40; ++i) {
      const std::vector<float> logits = row(3000, spread, random);
      const Top from(logits, 8.0f, 512);
      for (const Sampling& sampling : settings()) {
        const RandomPoint point{9, static_cast<std::uint32_t>(i), 3};
        const auto token = sample(from.top, sampling, point);
        ++tried;
        if (!token) continue;
        ++drawn;
        EXPECT_EQ(*token, sample(logits, sampling, point));
      }
    }
  }
  EXPECT_GT(drawn, tried / 3) << "too few of the rows could be drawn from";
}

TEST(TopLogits, AreNotEnoughWithoutAFilter) {
  std::mt19937 random(6);
  const std::vector<float> logits = row(1000, 4.0f, random);
  const Top from(logits, 8.0f, 512);
  Sampling sampling;
  sampling.top_p = 1.0f;
  EXPECT_FALSE(sample(from.top, sampling, {}));
}

TEST(TopLogits, AreNotEnoughWhenTheFilterReachesBelowThem) {
  const std::vector<float> flat(1000, 1.0f);
  const Top too_many(flat, 8.0f, 512);
  EXPECT_FALSE(sample(too_many.top, Sampling(), {}));
  std::vector<float> cliff(1000,
                           -9.0f);  // 0.11 of the mass lies below the one token that is listed
  cliff[5] = 0.0f;
  Sampling sampling;
  sampling.top_p = 0.9f;
  const Top one(cliff, 8.0f, 512);
  ASSERT_EQ(one.top.tokens.size(), 1u);
  EXPECT_FALSE(sample(one.top, sampling, {}));
  sampling.top_p = 0.5f;
  EXPECT_FALSE(sample(one.top, sampling, {})) << "what is not listed might be its equal";
  sampling.temperature = 0.0f;
  EXPECT_EQ(sample(one.top, sampling, {})->token, 5);
}

TEST(SamplingSettings, SayWhetherTheyWantAllLogits) {
  EXPECT_FALSE(Sampling().wants_all_logits());
  Sampling unfiltered;
  unfiltered.top_p = 1.0f;
  EXPECT_TRUE(unfiltered.wants_all_logits());
  unfiltered.temperature = 0.0f;
  EXPECT_FALSE(unfiltered.wants_all_logits()) << "greedy: the likeliest is always listed";
  Sampling sampling;
  sampling.logit_bias = {{1, 2.0f}};
  EXPECT_TRUE(sampling.wants_all_logits());
  for (float Sampling::*penalty :
       {&Sampling::repetition_penalty, &Sampling::presence_penalty, &Sampling::frequency_penalty}) {
    Sampling one;
    one.*penalty = 1.5f;
    EXPECT_TRUE(one.wants_all_logits());
  }
}

}  // namespace
}  // namespace bobby
