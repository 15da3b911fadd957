// What a person gives a training run: a config, or a line of a data set. Whatever it is, reading
// ends in a value that keeps its promises or in a sentence. The first byte says which, and how it
// is read.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "training/batches.h"
#include "training/config.h"
#include "training/dataset.h"

namespace {

using namespace bobby;

const Tokenizer& tokenizer() {
  static const Tokenizer made = *Tokenizer::from_file(BOBBY_FUZZ_TOKENIZER);
  return made;
}

RecordEncoder encoder(bool compat, bool qwen3, bool mask) {
  EncodingOptions options{
      .compat_mlx = compat, .mask_prompt = mask, .features = {}, .form = {}, .facts = {}};
  options.form = *find_prompt_form(qwen3 ? "qwen3-no-think" : "chatml");
  options.facts.chat_template =
      qwen3 ? "<|im_start|> <|im_end|> enable_thinking last_query_index reasoning_content"
            : "<|im_start|>system\nS<|im_end|>";
  options.facts.eos = tokenizer().token_to_id("<|im_end|>");
  return *RecordEncoder::make(tokenizer(), std::move(options));
}

void read_config(std::string_view text) {
  const auto config = parse_training_config(text, "a.yaml");
  if (!config) {
    if (config.error().to_string().empty()) std::abort();
    return;
  }
  // What is written for mlx-lm reads as the same run again.
  const std::string written = mlx_lm_arguments(*config);
  if (config->lora.scale != parse_training_config(written, "b.yaml")->lora.scale) std::abort();
  learning_rate_of(*config).at(1000);
  if (!Optimizer::make(config->optimizer)) std::abort();
}

void read_record(std::string_view text, std::uint8_t how) {
  const auto example = encoder((how & 1) != 0, (how & 2) != 0, (how & 4) != 0).encode(text, "a:1");
  if (!example) return;
  for (const OverLong over_long : {OverLong::kTruncate, OverLong::kDrop, OverLong::kSplit})
    for (const TrainingExample& part : fit_to_length(*example, 16, over_long))
      if (part.length() > 16 || example_rows(part, 33).trained_rows > 16) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 8) != 0)
    read_config(text);
  else
    read_record(text, data[0]);
  return 0;
}
