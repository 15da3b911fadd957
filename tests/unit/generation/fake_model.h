#pragma once

// A model without weights for tests of what stands around a model: its logits are a function of the
// tokens that it finds in its KV cache, so a block that was shared, moved or overwritten wrongly
// changes the text, as it would with a real one.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "base/random.h"
#include "generation/generator.h"
#include "model/attached_adapter.h"
#include "model/model.h"

namespace bobby::testing_support {

class FakeKv final : public KvStorage {
 public:
  explicit FakeKv(KvShape shape)
      : KvStorage(shape), tokens(static_cast<std::size_t>(shape.blocks * shape.block_tokens), -1) {}
  std::int32_t& at(std::span<const std::int32_t> blocks, std::int64_t position) {
    const std::int64_t block = blocks[static_cast<std::size_t>(position / shape().block_tokens)];
    return tokens.at(
        static_cast<std::size_t>(block * shape().block_tokens + position % shape().block_tokens));
  }
  std::uint64_t saturated() const override { return stored; }
  std::vector<std::int32_t> tokens;
  std::uint64_t stored = 0;  // tokens so far: as if each had one number that does not fit
};

/// Only what a Generator asks of a backend; operations belong to real models.
class FakeBackend final : public Backend {
 public:
  std::string_view name() const override { return "fake"; }
  std::string description() const override { return "fake"; }
  Result<void> supports(const WeightFormat&) const override { return {}; }
  Result<std::unique_ptr<Buffer>> allocate(std::size_t) override { return none("allocate"); }
  Result<std::unique_ptr<Weight>> load_weight(const WeightView&) override { return none("weight"); }
  Result<std::unique_ptr<LoraWeight>> load_lora(const LoraView&) override { return none("lora"); }
  Result<std::unique_ptr<KvStorage>> allocate_kv(const KvShape& shape) override {
    pools.push_back(shape.blocks);
    return std::make_unique<FakeKv>(shape);
  }
  void embed(const Weight&, std::span<const std::int32_t>, std::span<const LoraRows>,
             Activation) override {}
  void rms_norm(Activation, const Weight&, float, Activation) override {}
  void linear(Activation, std::span<const Projection>) override {}
  void rope_and_store(const RopeStore&) override {}
  void attention(const Attention&) override {}
  void copy_kv_block(KvStorage& kv, std::int32_t from, std::int32_t to) override {
    auto& tokens = static_cast<FakeKv&>(kv).tokens;
    const std::int64_t count = kv.shape().block_tokens;
    std::copy_n(tokens.begin() + from * count, count, tokens.begin() + to * count);
  }
  Result<void> read_kv_block(const KvStorage& kv, std::int32_t block,
                             std::span<std::byte> host) override {
    const auto& tokens = static_cast<const FakeKv&>(kv).tokens;
    std::memcpy(host.data(), tokens.data() + block * kv.shape().block_tokens, host.size());
    return {};
  }
  Result<void> write_kv_block(KvStorage& kv, std::int32_t block,
                              std::span<const std::byte> host) override {
    auto& tokens = static_cast<FakeKv&>(kv).tokens;
    std::memcpy(tokens.data() + block * kv.shape().block_tokens, host.data(), host.size());
    return {};
  }
  void swiglu(Activation, Activation, Activation) override {}
  void add(Activation, Activation) override {}
  void select_rows(Activation, std::span<const std::int32_t>, Activation) override {}
  Result<void> copy_out(Activation x, std::span<float> host) override {
    std::copy(x.data, x.data + x.rows * x.cols, host.begin());
    return {};
  }
  Result<void> sync() override { return {}; }

  std::vector<std::int64_t> pools;  // blocks of every pool made

 private:
  static tl::unexpected<Error> none(const char* what) {
    return fail({.code = ErrorCode::kUnsupported, .where = what, .problem = "is not faked"});
  }
};

/// Logits [vocab_size] after `tokens`.
using FakeLogits = std::function<std::vector<float>(std::span<const std::int32_t> tokens)>;

class FakeModel final : public Model {
 public:
  static constexpr std::int64_t kBlockTokens = 8;

  FakeModel(Backend& backend, ModelConfig config, FakeLogits logits)
      : backend_(backend), config_(std::move(config)), logits_of_(std::move(logits)) {}

  const ModelConfig& config() const override { return config_; }
  Backend& backend() const override { return backend_; }
  std::size_t weight_bytes() const override { return 1000; }
  std::size_t decode_bytes() const override { return 1000; }
  /// An adapter without modules: what it changes is what the cache is filled with.
  Result<std::shared_ptr<const AttachedAdapter>> attach(std::shared_ptr<const Adapter> adapter,
                                                        float factor) override {
    return AttachedAdapter::make(std::move(adapter), factor, config_, {}, backend_);
  }
  KvShape kv_shape(std::int64_t blocks, KvFormat format) const override {
    return {.layers = 1,
            .num_key_value_heads = 1,
            .head_dim = 1,
            .block_tokens = kBlockTokens,
            .blocks = blocks,
            .format = format};
  }
  Result<Activation> step(std::span<const StepSequence> sequences, KvStorage& storage) override {
    if (before_step) BOBBY_CHECK(before_step());
    auto& kv = static_cast<FakeKv&>(storage);
    std::int64_t tokens = 0;
    for (const StepSequence& sequence : sequences)
      for (std::size_t i = 0; i < sequence.tokens.size(); ++i, ++tokens)
        kv.at(sequence.blocks, sequence.position + static_cast<std::int64_t>(i)) =
            sequence.tokens[i] + 1000 * voice(sequence.adapters);
    kv.stored += static_cast<std::uint64_t>(tokens);
    steps.push_back({static_cast<std::int64_t>(sequences.size()), tokens});
    out_.clear();
    std::int64_t rows = 0;
    for (const StepSequence& sequence : sequences) {
      if (sequence.logits == LogitsRows::kNone) continue;
      std::vector<std::int32_t> history;
      const std::int64_t end = sequence.position + std::ssize(sequence.tokens);
      for (std::int64_t position = 0; position < end; ++position)
        history.push_back(kv.at(sequence.blocks, position));
      const std::vector<float> logits = logits_of_(history);
      out_.insert(out_.end(), logits.begin(), logits.end());
      ++rows;
    }
    return Activation{out_.data(), rows, config_.vocab_size};
  }

  struct Step {
    std::int64_t sequences = 0;
    std::int64_t tokens = 0;
  };
  std::vector<Step> steps;
  std::function<Result<void>()> before_step;  // may fail it

 private:
  static std::int32_t voice(std::span<const AdapterUse> adapters) {
    std::int32_t sum = 0;
    for (const AdapterUse& use : adapters)
      sum += static_cast<std::int32_t>(use.factor * use.adapter->adapter().scale);
    return sum;
  }

  Backend& backend_;
  ModelConfig config_;
  FakeLogits logits_of_;
  std::vector<float> out_;
};

/// Ids 0..255 are the bytes, then the special tokens "<|im_start|>" and "<|im_end|>".
inline constexpr std::int32_t kImStart = 256;
inline constexpr std::int32_t kImEnd = 257;
inline constexpr std::int64_t kFakeVocab = 258;

/// A byte-level tokenizer without merges.
inline std::shared_ptr<const Tokenizer> byte_tokenizer() {
  // GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes follow from U+0100 on.
  std::string vocab;
  int others = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const int symbol = printable ? byte : 256 + others++;
    char escaped[16];
    std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(symbol));
    vocab += "\"" + std::string(escaped) + "\":" + std::to_string(byte) + ",";
  }
  vocab.pop_back();
  const auto special = [](std::int32_t id, const std::string& text) {
    return R"({"id":)" + std::to_string(id) + R"(,"content":")" + text +
           R"(","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,)" +
           R"("special":true})";
  };
  const std::string json =
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)" +
      special(kImStart, "<|im_start|>") + "," + special(kImEnd, "<|im_end|>") +
      R"(],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,)" +
      R"("trim_offsets":true,"use_regex":true},"post_processor":null,"decoder":{"type":"ByteLevel",)" +
      R"("add_prefix_space":true,"trim_offsets":true,"use_regex":true},"model":{"type":"BPE",)" +
      R"("dropout":null,"unk_token":null,"continuing_subword_prefix":null,)" +
      R"("end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"vocab":{)" + vocab +
      R"(},"merges":[]}})";
  Result<Tokenizer> tokenizer = Tokenizer::from_json(json, "byte tokenizer");
  if (!tokenizer) throw std::runtime_error(tokenizer.error().to_string());
  return std::make_shared<const Tokenizer>(*std::move(tokenizer));
}

/// A loaded fake, and the model inside it for looking at.
struct FakeLoaded {
  std::shared_ptr<LoadedModel> loaded;
  FakeModel* model = nullptr;
  FakeBackend* backend = nullptr;

  ModelLoader loader() const {
    return [loaded = loaded](const ProgressFn&) -> Result<std::shared_ptr<LoadedModel>> {
      return loaded;
    };
  }
};

inline FakeLoaded make_fake(FakeLogits logits, std::int64_t context = 4096) {
  ModelConfig config;
  config.model_type = "fake";
  config.vocab_size = kFakeVocab;
  config.max_position_embeddings = context;
  config.eos_token_id = {kImEnd};
  FakeLoaded fake;
  auto backend = std::make_shared<FakeBackend>();
  fake.backend = backend.get();
  auto model = std::make_unique<FakeModel>(*backend, config, std::move(logits));
  fake.model = model.get();
  fake.loaded = std::make_shared<LoadedModel>();
  fake.loaded->backend = std::move(backend);
  fake.loaded->model = std::move(model);
  fake.loaded->tokenizer = byte_tokenizer();
  return fake;
}

/// Letters and spaces by chance, hashed from every token so far; the end grows likelier.
inline std::vector<float> babble(std::span<const std::int32_t> tokens) {
  std::array<std::uint32_t, 2> key = {1, 2};
  for (const std::int32_t token : tokens) {
    const auto words = philox4x32({static_cast<std::uint32_t>(token), 0, 0, 0}, key);
    key = {words[0], words[1]};
  }
  std::vector<float> logits(static_cast<std::size_t>(kFakeVocab), -20.0f);
  const auto noise = [&](std::int32_t id) {
    return static_cast<float>(philox4x32({static_cast<std::uint32_t>(id), 1, 0, 0}, key)[0]) *
           0x1.0p-30f;
  };
  for (std::int32_t id = 'a'; id <= 'z'; ++id) logits[static_cast<std::size_t>(id)] = noise(id);
  logits[' '] = noise(' ') + 1.0f;
  logits[kImEnd] = noise(kImEnd) - 8.0f + 0.2f * static_cast<float>(tokens.size());
  return logits;
}

/// Always `text`, then the end.
inline FakeLogits recite(std::string prompt, std::string text) {
  return
      [prompt = std::move(prompt), text = std::move(text)](std::span<const std::int32_t> tokens) {
        std::vector<float> logits(static_cast<std::size_t>(kFakeVocab), 0.0f);
        const std::size_t at = tokens.size() - prompt.size();
        const std::int32_t next =
            at < text.size() ? static_cast<unsigned char>(text[at]) : std::int32_t{kImEnd};
        logits[static_cast<std::size_t>(next)] = 30.0f;
        return logits;
      };
}

}  // namespace bobby::testing_support
