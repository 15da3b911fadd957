// Logits of llama.cpp, for tools/oracle/llama_cpp_adapter.py, which compiles this against a build:
//   llama_cpp_logits MODEL.gguf 1,2,3 OUT.f32 [ADAPTER.gguf]
// OUT holds [tokens, vocab] float32. Keys and values are kept in float32.

#include <cstdio>
#include <llama.h>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::vector<llama_token> parse_tokens(const std::string& text) {
  std::vector<llama_token> tokens;
  std::istringstream stream(text);
  for (std::string number; std::getline(stream, number, ',');) tokens.push_back(std::stoi(number));
  return tokens;
}

void print_warnings(ggml_log_level level, const char* text, void*) {
  if (level >= GGML_LOG_LEVEL_WARN) std::fputs(text, stderr);
}

llama_context* make_context(llama_model* model, std::size_t tokens) {
  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = 512;
  parameters.n_batch = parameters.n_ubatch = static_cast<std::uint32_t>(tokens);
  parameters.type_k = parameters.type_v = GGML_TYPE_F32;
  parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  return llama_init_from_model(model, parameters);
}

int fail(const char* what) {
  std::fprintf(stderr, "llama_cpp_logits: %s\n", what);
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) return fail("MODEL.gguf TOKENS OUT.f32 [ADAPTER.gguf]");
  llama_log_set(print_warnings, nullptr);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(arguments[1], llama_model_default_params());
  if (!model) return fail("the model was refused");
  std::vector<llama_token> tokens = parse_tokens(arguments[2]);
  llama_context* context = make_context(model, tokens.size());
  if (!context) return fail("no context");
  if (count > 4) {
    llama_adapter_lora* adapter = llama_adapter_lora_init(model, arguments[4]);
    float scale = 1.0f;
    if (!adapter) return fail("the adapter was refused");
    if (llama_set_adapters_lora(context, &adapter, 1, &scale) != 0) return fail("no adapter set");
  }
  llama_batch batch = llama_batch_init(static_cast<std::int32_t>(tokens.size()), 0, 1);
  batch.n_tokens = static_cast<std::int32_t>(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = static_cast<llama_pos>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  if (llama_decode(context, batch) != 0) return fail("decoding failed");
  const auto vocab = static_cast<std::size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
  std::FILE* out = std::fopen(arguments[3], "wb");
  if (!out) return fail("OUT cannot be written");
  for (std::size_t i = 0; i < tokens.size(); ++i)
    std::fwrite(llama_get_logits_ith(context, static_cast<std::int32_t>(i)), sizeof(float), vocab,
                out);
  return std::fclose(out);
}
