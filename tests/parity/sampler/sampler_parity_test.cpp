// Penalties and filters against mlx_lm.sample_utils (tools/oracle/sampler.py).

#include <algorithm>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "generation/sampler.h"

namespace bobby {
namespace {

using Json = nlohmann::json;

constexpr float kEpsilon = std::numeric_limits<float>::epsilon();

Json load_cases() {
  std::ifstream stream(BOBBY_SOURCE_DIR "/tests/parity/sampler/golden/sampler.json");
  return Json::parse(stream);
}

Sampling sampling_of(const Json& c) {
  Sampling sampling;
  sampling.temperature = c.at("temperature");
  sampling.top_p = c.value("top_p", 0.0f);
  sampling.min_p = c.value("min_p", 0.0f);
  sampling.top_k = c.value("top_k", std::int64_t{0});
  sampling.repetition_penalty = c.value("repetition_penalty", 1.0f);
  sampling.presence_penalty = c.value("presence_penalty", 0.0f);
  sampling.frequency_penalty = c.value("frequency_penalty", 0.0f);
  for (const Json& bias : c.value("logit_bias", Json::array()))
    sampling.logit_bias.emplace_back(bias[0], bias[1]);
  return sampling;
}

TEST(SamplerParity, PenaltiesGiveMlxLmsLogits) {
  int compared = 0;
  for (const Json& c : load_cases()) {
    if (!c.contains("penalised")) continue;
    std::vector<float> logits = c.at("logits");
    apply_penalties(logits, c.at("context").get<std::vector<std::int32_t>>(), sampling_of(c));
    const std::vector<float> expected = c.at("penalised");
    ASSERT_EQ(logits.size(), expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      // Four roundings: the bias, the penalty, and two subtractions (mlx subtracts the frequency
      // penalty once for each time, up to 20 times).
      EXPECT_NEAR(logits[i], expected[i], 24 * kEpsilon * std::max(1.0f, std::abs(expected[i])));
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

TEST(SamplerParity, FiltersLeaveMlxLmsTokensAndProbabilities) {
  int filtered = 0;
  for (const Json& c : load_cases()) {
    SCOPED_TRACE(c.dump().substr(0, 200));
    const Sampling sampling = sampling_of(c);
    ASSERT_TRUE(sampling.validate(std::ssize(c.at("logits"))));
    std::vector<float> logits = c.at("logits");
    apply_penalties(logits, c.value("context", std::vector<std::int32_t>()), sampling);
    std::vector<SampledToken> left = filter(logits, sampling, 0.0);
    std::vector<double> weights;
    double total = 0.0;
    const float top = left.front().logprob;
    std::sort(left.begin(), left.end(),
              [](const SampledToken& a, const SampledToken& b) { return a.token < b.token; });
    for (const SampledToken& token : left) {
      weights.push_back(std::exp((double{token.logprob} - top) / sampling.temperature));
      total += weights.back();
    }
    const std::vector<std::int32_t> tokens = c.at("tokens");
    const std::vector<float> logprobs = c.at("logprobs");
    const std::vector<double> probabilities = c.at("probabilities");
    ASSERT_EQ(left.size(), tokens.size());
    for (std::size_t i = 0; i < left.size(); ++i) {
      EXPECT_EQ(left[i].token, tokens[i]);
      // A log-probability is a difference of two fp32 numbers, whose sum of exponentials is
      // rounded a few times: some ulps of the larger. The probability inherits it, divided by the
      // temperature.
      const float size = std::max(
          {1.0f, std::abs(logits[static_cast<std::size_t>(tokens[i])]), std::abs(logprobs[i])});
      EXPECT_NEAR(left[i].logprob, logprobs[i], 24 * kEpsilon * size);
      EXPECT_NEAR(weights[i] / total, probabilities[i],
                  probabilities[i] * 50 * kEpsilon * size / sampling.temperature);
    }
    filtered += left.size() < logits.size() ? 1 : 0;
  }
  EXPECT_GT(filtered, 50);
}

}  // namespace
}  // namespace bobby
