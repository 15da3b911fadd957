#include "tiny_model.h"

namespace bobby::e2e {
namespace {

std::string utf8(unsigned code_point) {
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xc0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3f))};
}

// GPT-2's byte alphabet: printable bytes stand for themselves, the others for U+0100 onwards.
std::string byte_symbol(unsigned byte, unsigned& others) {
  const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
                         (byte >= 0xae && byte <= 0xff);
  return utf8(printable ? byte : 0x100 + others++);
}

nlohmann::json added_token(int id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

}  // namespace

nlohmann::json tiny_config() {
  return {{"model_type", "qwen3"},
          {"architectures", {"Qwen3ForCausalLM"}},
          {"hidden_size", 64},
          {"num_hidden_layers", 2},
          {"intermediate_size", 128},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 32},
          {"vocab_size", 259},
          {"max_position_embeddings", 512},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"attention_bias", false},
          {"hidden_act", "silu"},
          {"eos_token_id", 258},
          {"torch_dtype", "bfloat16"},
          {"quantization", {{"group_size", 32}, {"bits", 4}}}};
}

nlohmann::json tiny_tokenizer() {
  nlohmann::json vocabulary;
  unsigned others = 0;
  for (unsigned byte = 0; byte < 256; ++byte) vocabulary[byte_symbol(byte, others)] = byte;
  const nlohmann::json byte_level = {{"type", "ByteLevel"},
                                     {"add_prefix_space", false},
                                     {"trim_offsets", true},
                                     {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens",
           {added_token(256, "<|endoftext|>"), added_token(257, "<|im_start|>"),
            added_token(258, "<|im_end|>")}},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", vocabulary},
            {"merges", nlohmann::json::array()}}}};
}

Outcome make_tiny_model(const World& world) {
  write_file(world.folder / "tiny.json", tiny_config().dump());
  const Outcome outcome =
      run_bobby(world, {"model", "synth", "--arch", "tiny.json", "--out", "tiny", "--seed", "1",
                        "--adapter-out", "tiny-adapter"});
  if (outcome.exit_code == 0)
    write_file(world.folder / "tiny" / "tokenizer.json", tiny_tokenizer().dump());
  return outcome;
}

}  // namespace bobby::e2e
