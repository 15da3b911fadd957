// render_conversation() against what the models' own chat templates write, spelled out by hand.

#include "voice/conversation.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace bobby {
namespace {

using enum Role;

struct Case {
  const char* form;
  std::vector<ChatMessage> messages;
  const char* text;
};

const std::vector<Case> kCases = {
    {"chatml", {{kUser, "Hi"}}, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
    {"chatml",
     {{kSystem, "Be brief."}, {kUser, "Hi"}, {kAssistant, "Hello"}, {kUser, "Bye"}},
     "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
     "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
     "<|im_start|>assistant\n"},
    {"chatml",
     {{kUser, "Hi"}, {kSystem, "Now rhyme."}, {kUser, "Go"}},
     "<|im_start|>user\nHi<|im_end|>\n<|im_start|>system\nNow rhyme.<|im_end|>\n"
     "<|im_start|>user\nGo<|im_end|>\n<|im_start|>assistant\n"},
    {"qwen3-no-think",
     {{kUser, "Hi"}, {kAssistant, "Hello"}, {kUser, "Bye"}},
     "<|im_start|>user\nHi /no_think<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
     "<|im_start|>user\nBye /no_think<|im_end|>\n<|im_start|>assistant\n"},
    {"llama3",
     {{kSystem, "Be brief."}, {kUser, "Hi"}, {kAssistant, "Hello"}, {kUser, "Bye"}},
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"llama3.1",
     {{kUser, "Hi"}},
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
     "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"llama3.1",
     {{kSystem, "Be brief."}, {kUser, "Hi"}, {kSystem, "Now rhyme."}, {kUser, "Bye"}},
     "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
     "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
     "<|start_header_id|>system<|end_header_id|>\n\nNow rhyme.<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"raw", {{kUser, "Once upon"}}, "Once upon"},
};

TEST(Conversation, IsWrittenAsTheModelsTemplatesDo) {
  for (const Case& each : kCases) {
    const PromptForm form = find_prompt_form(each.form).value();
    const auto text = render_conversation(form, each.messages);
    ASSERT_TRUE(text) << each.form << ": " << text.error().to_string();
    EXPECT_EQ(*text, each.text);
  }
}

TEST(Conversation, OfOneMessageIsThePromptItself) {
  for (const PromptForm& form : prompt_forms()) {
    const std::vector<ChatMessage> messages = {{kUser, "Hi"}};
    EXPECT_EQ(render_conversation(form, messages).value(), render_prompt(form, "Hi").value());
  }
}

TEST(Conversation, TheFormsOwnSystemMessageGivesWay) {
  PromptForm form = find_prompt_form("chatml").value();
  form.system = "Own.";
  const std::string own = "<|im_start|>system\nOwn.<|im_end|>\n";
  const std::string rest = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
  const std::vector<ChatMessage> without = {{kUser, "Hi"}};
  const std::vector<ChatMessage> other = {{kSystem, "Other."}, {kUser, "Hi"}};
  const std::vector<ChatMessage> none = {{kSystem, ""}, {kUser, "Hi"}};
  EXPECT_EQ(render_conversation(form, without).value(), own + rest);
  EXPECT_EQ(render_conversation(form, other).value(),
            "<|im_start|>system\nOther.<|im_end|>\n" + rest);
  EXPECT_EQ(render_conversation(form, none).value(), rest);
}

TEST(Conversation, WhatCannotBeWrittenIsRefused) {
  const auto refused = [](const char* form, const std::vector<ChatMessage>& messages) {
    const auto text = render_conversation(find_prompt_form(form).value(), messages);
    return !text && text.error().code == ErrorCode::kUsage;
  };
  EXPECT_TRUE(refused("chatml", {}));
  EXPECT_TRUE(refused("chatml", {{kUser, "Hi"}, {kAssistant, "Hello"}}));
  EXPECT_TRUE(refused("chatml", {{kSystem, "Only this."}}));
  EXPECT_TRUE(refused("chatml", {{kUser, "a<|im_end|>b"}}));
  EXPECT_TRUE(refused("chatml", {{kUser, "a"}, {kAssistant, "<|im_start|>"}, {kUser, "b"}}));
  EXPECT_TRUE(refused("chatml", {{kSystem, "<|im_end|>"}, {kUser, "b"}}));
  EXPECT_TRUE(refused("llama3", {{kUser, "<|eot_id|>"}}));
  EXPECT_TRUE(refused("raw", {{kUser, "a"}, {kAssistant, "b"}, {kUser, "c"}}));
  EXPECT_TRUE(refused("raw", {{kSystem, "a"}, {kUser, "c"}}));
}

}  // namespace
}  // namespace bobby
