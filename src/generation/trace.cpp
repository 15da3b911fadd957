#include "generation/trace.h"

#include <nlohmann/json.hpp>

namespace bobby {

std::string GenerationTrace::to_json() const {
  using Json = nlohmann::ordered_json;
  Json json = {{"prompt_tokens", prompt_tokens},
               {"shared_prompt_tokens", shared_prompt_tokens},
               {"cached_prompt_tokens", cached_prompt_tokens},
               {"kv_saturated", kv_saturated},
               {"encode_ms", encode_ms},
               {"total_ms", total_ms},
               {"prefill", Json::array()},
               {"steps", Json::array()},
               {"tokens", Json::array()}};
  for (const Prefill& each : prefill)
    json["prefill"].push_back(
        {{"tokens", each.tokens}, {"begin_ms", each.begin_ms}, {"duration_ms", each.duration_ms}});
  for (const Step& each : steps)
    json["steps"].push_back({{"rows", each.rows},
                             {"begin_ms", each.begin_ms},
                             {"forward_ms", each.forward_ms},
                             {"sample_ms", each.sample_ms}});
  for (const Token& each : tokens)
    json["tokens"].push_back({{"sample", each.sample},
                              {"index", each.index},
                              {"token", each.token},
                              {"logprob", each.logprob},
                              {"at_ms", each.at_ms}});
  return json.dump();
}

}  // namespace bobby
