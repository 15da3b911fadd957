#include "cli/record_tokens.h"

#include <fmt/format.h>
#include <memory>

#include "app/obtain.h"
#include "app/voice_setup.h"
#include "model/config.h"
#include "tokenizer/tokenizer.h"
#include "training/dataset.h"

namespace bobby::cli {
namespace {

// An encoder and the tokenizer that it needs.
struct Encoding {
  Tokenizer tokenizer;
  std::optional<RecordEncoder> encoder;

  explicit Encoding(Tokenizer made) : tokenizer(std::move(made)) {}
};

Result<inspection::RecordTokens> tokenize(const RecordEncoder& encoder,
                                          const inspection::DataRecord& record) {
  BOBBY_TRY(TrainingExample example,
            encoder.encode(record.json, fmt::format("line {}", record.line)));
  return inspection::RecordTokens{std::move(example.tokens), example.loss_begin};
}

}  // namespace

Result<inspection::TokenSource> make_token_source(const Settings& settings,
                                                  const hub::PullWatch& watch) {
  BOBBY_TRY(const auto folder, obtain_model(settings.text(Opt::kModel), settings, watch));
  BOBBY_TRY(Tokenizer tokenizer, Tokenizer::from_file(folder / "tokenizer.json"));
  BOBBY_TRY(const ModelConfig config, ModelConfig::load(folder));
  BOBBY_TRY(VoiceSetup voice, set_up_voice(settings, folder, config.model_type, {}));
  const auto encoding = std::make_shared<Encoding>(std::move(tokenizer));
  EncodingOptions options;
  options.mask_prompt = true;
  options.form = std::move(voice.form);
  BOBBY_TRY(options.facts, read_tokenizer_facts(folder, encoding->tokenizer));
  inspection::TokenSource source;
  source.model = std::filesystem::weakly_canonical(folder).filename().string();
  source.prompt_form = options.form.name;
  BOBBY_TRY(encoding->encoder, RecordEncoder::make(encoding->tokenizer, std::move(options)));
  source.tokenize = [encoding](const inspection::DataRecord& record) {
    return tokenize(*encoding->encoder, record);
  };
  source.bytes = [encoding](std::int32_t id) {
    return std::string(encoding->tokenizer.token_bytes(id).value_or(""));
  };
  return source;
}

}  // namespace bobby::cli
