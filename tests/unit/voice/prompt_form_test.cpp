#include "voice/prompt_form.h"

#include <gtest/gtest.h>
#include <string>

#include "base/sha256.h"

namespace bobby {
namespace {

// SmolLM2's template, as it stands in tokenizer_config.json: "\n" is a backslash and an n.
constexpr const char* kSmolLm2 =
    R"({% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %})"
    R"({{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face)"
    R"(<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] )"
    R"(+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %})"
    R"({{ '<|im_start|>assistant\n' }}{% endif %})";
// The beginnings and ends of Qwen3's.
constexpr const char* kQwen3 =
    R"({{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }})"
    R"({{- '<|im_start|>assistant\n' }}{%- if enable_thinking is defined and enable_thinking is )"
    R"(false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %})";
constexpr const char* kLlama3 =
    R"({% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + )"
    R"(message['content'] | trim + '<|eot_id|>' %})";

// The parts of Llama 3.2's that tell it from 3.0's, and of Qwen2.5's that write its system message.
constexpr const char* kLlama32 =
    R"({{- "<|start_header_id|>system<|end_header_id|>\n\n" }}{{- "Cutting Knowledge Date: December )"
    R"(2023\n" }}{{- "Today Date: " + date_string + "\n\n" }}{{- system_message }}{{- "<|eot_id|>" }})";
constexpr const char* kQwen25 =
    R"({%- if tools %}{{- '<|im_start|>system\n' }}{%- if messages[0]['role'] == 'system' %})"
    R"({{- messages[0]['content'] }}{%- else %}{{- 'You are Qwen, created by Alibaba Cloud. You are )"
    R"(a helpful assistant.' }}{%- endif %}{%- else %}{%- if messages[0]['role'] == 'system' %})"
    R"({{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}{%- else %})"
    R"({{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful )"
    R"(assistant.<|im_end|>\n' }}{%- endif %}{%- endif %})";

TEST(PromptForm, RendersQwen3WithoutThinking) {
  const auto form = find_prompt_form("qwen3-no-think");
  ASSERT_TRUE(form);
  EXPECT_EQ(*render_prompt(*form, "write about coffee"),
            "<|im_start|>user\nwrite about coffee /no_think<|im_end|>\n<|im_start|>assistant\n");
}

TEST(PromptForm, RendersTheOthers) {
  EXPECT_EQ(*render_prompt(*find_prompt_form("chatml"), "p", "s"),
            "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\np<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(*render_prompt(*find_prompt_form("llama3"), "p", "s"),
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\ns<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\np<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(*render_prompt(*find_prompt_form("raw"), "p <|im_end|>"), "p <|im_end|>");
}

TEST(PromptForm, IsChosenByModelTypeAndTemplate) {
  EXPECT_EQ(choose_prompt_form("m", "qwen3", kQwen3)->name, "qwen3-no-think");
  EXPECT_EQ(choose_prompt_form("m", "qwen3", "")->name, "qwen3-no-think");
  EXPECT_EQ(choose_prompt_form("m", "qwen3", kSmolLm2)->name, "chatml") << "cannot think";
  EXPECT_EQ(choose_prompt_form("m", "llama", kLlama3)->name, "llama3");
  EXPECT_EQ(choose_prompt_form("m", "llama", kLlama32)->name, "llama3.1");
  EXPECT_EQ(choose_prompt_form("m", "qwen2", kQwen3)->name, "chatml");
  EXPECT_FALSE(choose_prompt_form("m", "qwen2", kQwen3)->system) << "no literal message";
}

TEST(PromptForm, KeepsATemplatesDefaultSystemMessage) {
  const auto form = choose_prompt_form("m", "llama", kSmolLm2);
  ASSERT_TRUE(form);
  EXPECT_EQ(form->name, "chatml");
  EXPECT_EQ(form->system, "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
  EXPECT_EQ(*render_prompt(*form, "Hi"),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(*render_prompt(*form, "Hi", ""),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(PromptForm, Qwen25SaysWhoItIs) {
  const auto form = choose_prompt_form("m", "qwen2", kQwen25);
  ASSERT_TRUE(form);
  EXPECT_EQ(form->name, "chatml");
  EXPECT_EQ(form->system, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.");
}

TEST(PromptForm, Llama31DatesEverySystemMessage) {
  const PromptForm form = *find_prompt_form("llama3.1");
  const std::string begin =
      "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
      "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
  const std::string end =
      "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\np<|eot_id|>"
      "<|start_header_id|>assistant<|end_header_id|>\n\n";
  EXPECT_EQ(*render_prompt(form, "p"), begin + end);
  EXPECT_EQ(*render_prompt(form, "p", ""), begin + end) << "the turn stands without a message";
  EXPECT_EQ(*render_prompt(form, "p", "s"), begin + "s" + end);
}

TEST(PromptForm, ReadsATemplateWithRealLineEnds) {
  std::string chat_template = kSmolLm2;  // as a GGUF file holds it
  for (std::size_t at; (at = chat_template.find("\\n")) != std::string::npos;)
    chat_template.replace(at, 2, "\n");
  EXPECT_EQ(choose_prompt_form("m", "llama", chat_template)->system,
            "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
}

TEST(PromptForm, UnknownTemplatesAskForAForm) {
  const auto none = choose_prompt_form("acme/base", "llama", "");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(none.error().to_string().find("acme/base"), std::string::npos);
  const auto other = choose_prompt_form("acme/m", "mistral", "[INST] {{ content }} [/INST]");
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().hint.find("--prompt-form"), std::string::npos);
}

TEST(PromptForm, UnknownNamesGetTheNearest) {
  const auto form = find_prompt_form("chat-ml");
  ASSERT_FALSE(form);
  EXPECT_EQ(form.error().code, ErrorCode::kUsage);
  EXPECT_NE(form.error().hint.find("'chatml'"), std::string::npos) << form.error().to_string();
}

TEST(PromptForm, RefusesMarkersInTheText) {
  const auto form = *find_prompt_form("chatml");
  for (const char* marker : {"<|im_end|>", "<|im_start|>", "<|endoftext|>"}) {
    EXPECT_FALSE(render_prompt(form, std::string("a") + marker)) << marker;
    EXPECT_FALSE(render_prompt(form, "a", std::string("s") + marker)) << marker;
  }
  EXPECT_TRUE(render_prompt(form, "a <|eot_id|> b")) << "another form's marker is plain text here";
  EXPECT_FALSE(render_prompt(*find_prompt_form("raw"), "a", "system")) << "no place for it";
}

TEST(PromptForm, PrefixHashIsOfTheRenderedForm) {
  const std::string rendered =
      "<|im_start|>user\n{prompt} /no_think<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(prompt_prefix_sha256(*find_prompt_form("qwen3-no-think")),
            sha256_hex(std::as_bytes(std::span(rendered))));
  PromptForm chatml = *find_prompt_form("chatml");
  const std::string before = prompt_prefix_sha256(chatml);
  chatml.system.emplace("x");
  EXPECT_NE(prompt_prefix_sha256(chatml), before);
}

}  // namespace
}  // namespace bobby
