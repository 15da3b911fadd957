// Which files of a repository a pull gets, and what an index may name.

#include "hub/cache/file_choice.h"

#include <gtest/gtest.h>

namespace bobby::hub {
namespace {

using Paths = std::vector<std::string>;

const Paths kModel = {".gitattributes",
                      "README.md",
                      "config.json",
                      "model.safetensors",
                      "pytorch_model.bin",
                      "original/consolidated.00.pth",
                      "tokenizer.json",
                      "tokenizer_config.json",
                      "generation_config.json",
                      "onnx/model.onnx",
                      "chat_template.jinja"};

TEST(FileChoice, OfAModelWhatIsRead) {
  const auto choice = choose_files(kModel, Content::kModel, {}, {}).value();
  EXPECT_EQ(choice.small, (Paths{"config.json", "generation_config.json", "tokenizer.json",
                                 "tokenizer_config.json", "chat_template.jinja"}));
  EXPECT_EQ(choice.weights, Paths{"model.safetensors"});
  EXPECT_FALSE(choice.has_index);
}

TEST(FileChoice, AnIndexNamesTheWeights) {
  Paths paths = kModel;
  paths.insert(paths.end(), {"model.safetensors.index.json", "model-00001-of-00001.safetensors"});
  const auto choice = choose_files(paths, Content::kAny, {}, {}).value();
  EXPECT_TRUE(choice.has_index);
  EXPECT_EQ(choice.small.back(), "model.safetensors.index.json");
  EXPECT_EQ(choice.weights, Paths{});
}

TEST(FileChoice, OfAnAdapterItsOwnFiles) {
  const Paths paths = {"README.md", "adapter_config.json", "adapters.safetensors", "voice.json",
                       "0000100_adapters.safetensors"};
  for (const Content content : {Content::kAny, Content::kAdapter}) {
    const auto choice = choose_files(paths, content, {}, {}).value();
    EXPECT_EQ(choice.small, (Paths{"adapter_config.json", "voice.json"}));
    EXPECT_EQ(choice.weights, Paths{"adapters.safetensors"});
  }
  EXPECT_EQ(choose_files(paths, Content::kModel, {}, {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(choose_files(kModel, Content::kAdapter, {}, {}).error().code, ErrorCode::kNotFound);
}

TEST(FileChoice, PatternsAddAndTakeAway) {
  const auto choice =
      choose_files(kModel, Content::kAny, {"*.pth", "README.md"}, {"generation*"}).value();
  EXPECT_EQ(choice.small, (Paths{"config.json", "tokenizer.json", "tokenizer_config.json",
                                 "chat_template.jinja"}));
  EXPECT_EQ(choice.weights,
            (Paths{"model.safetensors", "README.md", "original/consolidated.00.pth"}));
  const Paths gguf = {"a.gguf"};
  EXPECT_FALSE(choose_files(gguf, Content::kAny, {}, {}));
  EXPECT_EQ(choose_files(gguf, Content::kAny, {"*.gguf"}, {}).value().weights, gguf);
}

TEST(IndexedWeights, AreFilesBesideIt) {
  EXPECT_EQ(indexed_weights(R"({"weight_map":{"a":"2.safetensors","b":"1.safetensors",
                                "c":"2.safetensors"}})",
                            "x")
                .value(),
            (Paths{"1.safetensors", "2.safetensors"}));
  for (const char* bad : {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})",
                          R"({"weight_map":{"a":"../x"}})", R"({"weight_map":{"a":"b/c"}})",
                          R"({"weight_map":{"a":""}})", R"({"weight_map":{"a":"/etc/passwd"}})"}) {
    const auto read = indexed_weights(bad, "the index");
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().code, ErrorCode::kMalformed);
    EXPECT_EQ(read.error().where, "the index");
  }
}

}  // namespace
}  // namespace bobby::hub
